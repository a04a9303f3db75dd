//! What a job does: [`JobPlan`], the content of its plan file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stratigraph_core::{EditData, ModelShape, Precision, ResidualModel, TokenWindows};
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::scores::TokenGroups;
use stratigraph_surgery::{Intervention, Sweep, SweepContext, SweepPoints};

use super::{JobCorpus, JobGrouping, JobIntervention, JobModel, JobPairs, JobPart, JobSweep, StepSize};
use crate::{Derived, Result, StudyError, versions};

/// The format of plan files and records that this version writes and reads.
pub(crate) const FORMAT: u64 = 2;

/// Everything that decides what a job measures: the content of `job.json`.
///
/// ```no_run
/// use stratigraph_core::{ResidualModel, TokenWindows};
/// use stratigraph_study::job::{Job, JobCorpus, JobModel, JobPlan, StepSize};
/// use stratigraph_surgery::Sweep;
///
/// fn plan(model: &dyn ResidualModel, sha256: &str, windows: TokenWindows) -> stratigraph_study::Result<Job> {
///     let record = JobModel::new(model, "pythia-6.9b", "/shared/pythia-6.9b", sha256);
///     let plan = JobPlan::new(model, record, JobCorpus::new("text.txt", &windows), &windows)?
///         .with_sweep(&Sweep::delete())?
///         .with_sweep(&Sweep::swap())?
///         .with_metrics(["kl", "nll"])?
///         .with_step_size(StepSize::new(16))?;
///     Job::create("sweeps/pythia", plan, windows)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JobPlan {
    /// The format of the job's files.
    pub format: u64,
    /// The model.
    pub model: JobModel,
    /// The corpus.
    pub corpus: JobCorpus,
    /// The sweeps.
    pub sweeps: Vec<JobSweep>,
    /// Interventions beside those of sweeps.
    pub interventions: Vec<JobIntervention>,
    /// What measurements measure apart from the scores of interventions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<JobPart>,
    /// What is derived from everything that was measured, when it is merged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<Derived>,
    /// Pairs of queries and keys that edits hide, in the order of their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<JobPairs>,
    /// The names of the [built-in metrics](Metrics::from_names) that are measured.
    pub metrics: Vec<String>,
    /// Groupings of positions by which everything is also measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groupings: Vec<JobGrouping>,
    /// Whether the values of every token are kept, in Parquet.
    pub per_token: bool,
    /// How the model holds its weights.
    pub dtype: Precision,
    /// The seed of everything that is drawn at random.
    pub seed: u64,
    /// The size of a step.
    pub step: StepSize,
    /// The versions of the software.
    pub versions: BTreeMap<String, String>,
    /// The model's sizes and hooks, against which sweeps are checked; a plan read from a file does not have them.
    #[serde(skip)]
    shape: Option<ModelShape>,
    /// The names of measurements and sweeps that were asked for.
    #[serde(skip)]
    pub(super) asked_for: Vec<String>,
    /// The tensors and the pairs of edits, which have files of their own.
    #[serde(skip)]
    pub(crate) data: EditData,
    /// The numbers of fitted lenses, which have files of their own.
    #[serde(skip)]
    pub(super) lens_files: BTreeMap<String, Vec<u8>>,
    /// The groups of the groupings, which are kept in a file of their own.
    #[serde(skip)]
    pub(crate) groups: Vec<TokenGroups>,
}

impl JobPlan {
    /// A plan of the unchanged model alone: the default metrics, in steps of eight windows and all interventions.
    ///
    /// # Errors
    /// When the windows do not fit the model, or are not those of the corpus record.
    pub fn new(model: &dyn ResidualModel, record: JobModel, corpus: JobCorpus, windows: &TokenWindows) -> Result<Self> {
        windows.check(model)?;
        let plan = Self {
            format: FORMAT,
            model: record,
            corpus,
            sweeps: Vec::new(),
            interventions: Vec::new(),
            parts: Vec::new(),
            derived: Vec::new(),
            pairs: Vec::new(),
            metrics: Metrics::default().names().map(str::to_owned).collect(),
            groupings: Vec::new(),
            per_token: false,
            dtype: model.shape().precision,
            seed: 0,
            step: StepSize::default(),
            versions: versions(),
            shape: Some(model.shape()),
            asked_for: Vec::new(),
            data: EditData::default(),
            lens_files: BTreeMap::new(),
            groups: Vec::new(),
        };
        plan.check_windows(windows)?;
        Ok(plan)
    }

    /// With these built-in metrics in place of the default ones.
    ///
    /// # Errors
    /// When there are none, one is unknown or named twice, or it is not defined on the model's vocabulary.
    pub fn with_metrics<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Result<Self> {
        self.metrics = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        self.check_metrics()?;
        Ok(self)
    }

    /// With everything also measured by groups of positions.
    ///
    /// # Errors
    /// When the groups are of other windows, or there is a grouping of that name.
    pub fn with_groups(mut self, groups: TokenGroups, windows: &TokenWindows) -> Result<Self> {
        groups.check(windows)?;
        let name = groups.name();
        if self.groupings.iter().any(|other| other.name == name) {
            return Err(StudyError::NameTaken { what: "grouping", name: name.to_owned() });
        }
        self.groupings.push(JobGrouping::new(&groups, windows));
        self.groups.push(groups);
        Ok(self)
    }

    /// With the values of every token kept, in a Parquet file for each step.
    ///
    /// # Errors
    /// When this build cannot write Parquet.
    pub fn with_per_token(mut self) -> Result<Self> {
        self.per_token = true;
        self.check_build()?;
        Ok(self)
    }

    /// With steps of another size.
    ///
    /// # Errors
    /// When a step has no windows or no interventions.
    pub fn with_step_size(mut self, step: StepSize) -> Result<Self> {
        self.step = step;
        self.check_step()?;
        Ok(self)
    }

    /// With another seed, of what measurements that are added later draw at random, and of what is drawn when the job is
    /// merged.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The metrics.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::from_names(&self.metrics)?)
    }

    /// Refuses windows that are not those of the corpus record.
    pub(crate) fn check_windows(&self, windows: &TokenWindows) -> Result<()> {
        let JobCorpus { name, special_tokens, .. } = &self.corpus;
        if JobCorpus::new(name, windows).with_special_tokens(*special_tokens) == self.corpus {
            return Ok(());
        }
        Err(bad(format!("its corpus record is of other windows than the {} that were given", windows.n_sequences())))
    }

    /// Refuses what this build cannot write.
    pub(crate) fn check_build(&self) -> Result<()> {
        if self.per_token && !cfg!(feature = "parquet") { Err(StudyError::ParquetNotBuilt) } else { Ok(()) }
    }

    pub(crate) fn check_metrics(&self) -> Result<()> {
        if self.metrics.is_empty() {
            return Err(bad("it measures no metric".to_owned()));
        }
        Ok(self.metrics()?.check(self.model.d_vocab)?)
    }

    pub(crate) fn check_step(&self) -> Result<()> {
        match self.step {
            StepSize { windows: 0, .. } | StepSize { interventions: Some(0), .. } => {
                Err(bad("its steps are empty; a step takes at least one window and one intervention".to_owned()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn shape(&self) -> Result<ModelShape> {
        self.shape.ok_or_else(|| bad("it was read from a file and cannot be added to; plan the job again".to_owned()))
    }
}

/// An error about a plan.
pub(crate) fn bad(reason: String) -> StudyError {
    StudyError::BadJobPlan { reason }
}

/// The points of a sweep that was read from a file, named as [`Sweep::points`] names them.
pub(crate) fn named_points(
    JobSweep { name, axes, .. }: &JobSweep,
    interventions: Vec<Intervention>,
    model: &JobModel,
) -> Result<SweepPoints> {
    let context = SweepContext::new(ModelShape::new(model.n_layers, model.d_model, model.d_vocab), 0);
    let points = SweepPoints::new(&context, axes.iter().cloned(), interventions.into_iter().map(Ok))?;
    Ok(Sweep::new(name, move |_| Ok(points.clone())).points(&context)?)
}
