//! What a job does, as its plan file says it: [`JobPlan`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_probes::metrics::Metrics;
use stratigraph_surgery::{Ablation, LayerPlan, Step};

use super::hash_tokens;
use crate::runs::Runs;
use crate::{Error, Experiment, Result, versions};

/// The format of plan files and records that this version writes and reads.
const FORMAT: u32 = 2;

/// The format of before, whose records have five metrics by their positions and not by name.
const FORMAT_BY_POSITION: u32 = 1;

/// The model of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobModel {
    /// What it is called.
    pub name: String,
    /// Where it was when the job was planned: a path, or a model of the hub.
    pub source: String,
    /// What [`hash_checkpoint`](super::hash_checkpoint) gives.
    pub sha256: String,
    /// Its layers.
    pub n_layers: usize,
    /// The width of its residual stream.
    pub d_model: usize,
    /// The size of its vocabulary.
    pub d_vocab: usize,
}

impl JobModel {
    /// Of a model, with its name, where it is, and the hash of its content.
    pub fn of(model: &dyn ResidualModel, name: &str, source: &str, sha256: String) -> Self {
        let (name, source) = (name.to_owned(), source.to_owned());
        Self { name, source, sha256, n_layers: model.n_layers(), d_model: model.d_model(), d_vocab: model.d_vocab() }
    }
}

/// The corpus of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobCorpus {
    /// What it is called.
    pub name: String,
    /// Its windows.
    pub n_sequences: usize,
    /// Tokens in each.
    pub seq_len: usize,
    /// Whether the tokenizer's special tokens are among them.
    pub special_tokens: bool,
    /// What [`hash_tokens`] gives.
    pub sha256: String,
}

/// How much is done between two writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSize {
    /// Windows in a step.
    pub windows: usize,
    /// Plans in a step. Plans share their first layers, so a step of all of them is the least work.
    pub plans: usize,
}

/// Everything that decides what a job measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobPlan {
    /// The format of the job's files.
    pub format: u32,
    /// The model.
    pub model: JobModel,
    /// The corpus.
    pub corpus: JobCorpus,
    /// The experiments, surgery and lens.
    pub experiments: Vec<Experiment>,
    /// Plans of the user's own.
    pub plans: Vec<LayerPlan>,
    /// What is measured of each: the names of [built-in metrics](Metrics::from_names).
    pub metrics: Vec<String>,
    /// Whether every token's numbers are kept, in Parquet.
    pub per_token: bool,
    /// The type that is computed with.
    pub dtype: String,
    /// Decides what is drawn at random.
    pub seed: u64,
    /// The steps.
    pub step: StepSize,
    /// The versions of what computes.
    pub versions: BTreeMap<String, String>,
}

impl JobPlan {
    /// A plan of some experiments on a model and a corpus called `corpus`, in steps of eight windows and all plans.
    ///
    /// # Errors
    /// When an experiment looks inside the model or cannot be done with it, needs the whole corpus at once (the mean of an
    /// output), or the windows do not fit the model.
    pub fn new(
        model: &dyn ResidualModel,
        record: JobModel,
        (corpus, windows): (&str, &TokenWindows),
        experiments: &[Experiment],
    ) -> Result<Self> {
        const WINDOWS: usize = 8;
        windows.check(model).map_err(stratigraph_surgery::SurgeryError::from)?;
        let experiments: Vec<_> = experiments.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        if let Some(&experiment) = experiments.iter().find(|experiment| needs_all(**experiment)) {
            return Err(Error::ExperimentNotInJob { experiment });
        }
        if let Some(&experiment) = experiments.iter().find(|experiment| !experiment.is_possible(model)) {
            return Err(Error::ExperimentImpossible { experiment });
        }
        let corpus = JobCorpus {
            name: corpus.to_owned(),
            n_sequences: windows.n_sequences(),
            seq_len: windows.seq_len(),
            special_tokens: false,
            sha256: hash_tokens(windows),
        };
        let plans = Runs::new(model.n_layers(), &experiments, &[]).distinct().len();
        Ok(Self {
            format: FORMAT,
            model: record,
            corpus,
            experiments,
            plans: Vec::new(),
            metrics: Metrics::default().names().map(str::to_owned).collect(),
            per_token: false,
            dtype: "f32".to_owned(),
            seed: 0,
            step: StepSize { windows: WINDOWS, plans },
            versions: versions(),
        })
    }

    /// With a plan of the user's own; one that it has is not added again.
    ///
    /// # Errors
    /// When it does not fit the model, or replaces an output by its mean, which takes the whole corpus.
    pub fn plan(mut self, model: &dyn ResidualModel, plan: LayerPlan) -> Result<Self> {
        plan.check_model(model)?;
        if has_mean(&plan) {
            return Err(Error::PlanNotInJob { plan });
        }
        if !self.plans.contains(&plan) {
            self.plans.push(plan);
            self.step.plans += 1;
        }
        Ok(self)
    }

    pub(crate) fn runs(&self) -> Runs {
        Runs::new(self.model.n_layers, &self.experiments, &self.plans)
    }

    /// What is measured.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::from_names(&self.metrics)?)
    }

    /// Groups of plans, each of which goes through a step together; neighbours share layers.
    pub(crate) fn groups(&self) -> Vec<BTreeSet<LayerPlan>> {
        let distinct: Vec<_> = self.runs().distinct().into_iter().collect();
        distinct.chunks(self.step.plans.max(1)).map(|group| group.iter().cloned().collect()).collect()
    }

    /// How many steps there are.
    pub fn n_steps(&self) -> usize {
        self.corpus.n_sequences.div_ceil(self.step.windows.max(1)) * self.groups().len()
    }

    /// Which windows a step runs, and which group of plans. All groups of some windows are neighbours.
    pub(crate) fn step(&self, step: usize, n_groups: usize) -> (Range<usize>, usize) {
        let size = self.step.windows.max(1);
        let start = step / n_groups * size;
        (start..(start + size).min(self.corpus.n_sequences), step % n_groups)
    }

    /// Why this version cannot do it, if so: a plan's fields are the user's, and its file can be edited.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { format, model, dtype, metrics, step, experiments, plans, .. } = self;
        let mut once = BTreeSet::new();
        let reason = if *format == FORMAT_BY_POSITION {
            format!(
                "it is in format {format}, whose records hold metrics by position; this version reads format {FORMAT}, by \
                 name: merge the job with the version that planned it, or plan it again"
            )
        } else if *format != FORMAT {
            format!("its format is {format}, and {FORMAT} is known")
        } else if dtype != "f32" {
            format!("it computes in {dtype}, and f32 is known")
        } else if let Err(reason) = Metrics::from_names(metrics).and_then(|metrics| metrics.check(model.d_vocab)) {
            reason.to_string()
        } else if metrics.is_empty() {
            "it measures no metric".to_owned()
        } else if step.windows == 0 || step.plans == 0 {
            "its steps are empty".to_owned()
        } else if let Some(twice) = experiments.iter().find(|experiment| !once.insert(**experiment)) {
            format!("the experiment {twice} stands in it twice")
        } else if let Some(experiment) = experiments.iter().find(|experiment| needs_all(**experiment)) {
            format!("the experiment {experiment} cannot be done in shards")
        } else if let Some(plan) = plans.iter().find(|plan| has_mean(plan)) {
            format!("the plan {plan} cannot be run in shards")
        } else {
            return Ok(());
        };
        Err(reason)
    }

    /// Refuses what this build cannot write.
    pub(crate) fn check_build(&self) -> Result<()> {
        if self.per_token && !cfg!(feature = "parquet") { Err(Error::ParquetNotBuilt) } else { Ok(()) }
    }
}

/// Whether an experiment takes more than some windows under some plans.
fn needs_all(experiment: Experiment) -> bool {
    experiment.looks_inside() || matches!(experiment, Experiment::Ablate(Ablation::Mean, _))
}

/// Whether a plan takes means over the whole corpus.
fn has_mean(plan: &LayerPlan) -> bool {
    plan.steps().iter().any(|step| matches!(step, Step::Ablated(_, _, Ablation::Mean)))
}

impl fmt::Display for JobPlan {
    /// One line: what is done on what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, corpus, step, .. } = self;
        let experiments: Vec<_> = self.experiments.iter().map(Experiment::to_string).collect();
        let plans = self.runs().distinct().len();
        write!(
            f,
            "{} on {} windows of {} tokens of {}, ",
            model.name, corpus.n_sequences, corpus.seq_len, corpus.name
        )?;
        write!(f, "{plans} plans ({}) ", experiments.join(", "))?;
        write!(f, "in {} steps of {} windows and {} plans", self.n_steps(), step.windows, step.plans.min(plans))
    }
}
