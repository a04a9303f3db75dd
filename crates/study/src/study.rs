//! Measurements on a model and a corpus, together: [`Study`].

use std::collections::BTreeMap;
use std::ops::Range;

use stratigraph_core::{CoreError, Precision, ResidualModel, TokenWindows};
use stratigraph_probes::metrics::{Metric, Metrics};
use stratigraph_probes::readout::Tiles;
use stratigraph_probes::scores::TokenGroups;
use stratigraph_profile::Unit;
use stratigraph_surgery::{Budget, Intervention};

use crate::derived::Measured;
use crate::names::check_intervention_names;
use crate::planned_work::PlannedWork;
use crate::records::{corpus_record, model_record};
use crate::run_scores::{RunScores, check_names};
use crate::runs::Runs;
use crate::scoring::{ReadoutOptions, Scoring};
use crate::workers::{WorkerEvent, run_workers};
use crate::{Findings, Measurement, Progress, Result, StudyContext, StudyError, measurements, unigram};

/// Runs measurements on a model and a corpus; every block, readout and pass that they share is run once.
///
/// ```no_run
/// use stratigraph_core::{ResidualModel, TokenWindows};
/// use stratigraph_study::{Study, measurements::AttentionByDistance};
/// use stratigraph_surgery::Sweep;
///
/// fn study(model: &dyn ResidualModel, windows: &TokenWindows) -> stratigraph_study::Result<()> {
///     let findings = Study::new(model)
///         .add(Sweep::delete())
///         .add(AttentionByDistance::default())
///         .run(windows)?;
///     println!("{:?} nats", findings.curve("delete_kl")?.mean);
///     Ok(())
/// }
/// ```
pub struct Study<'a> {
    model: &'a dyn ResidualModel,
    replicas: Vec<&'a dyn ResidualModel>,
    measurements: Vec<Box<dyn Measurement + 'a>>,
    interventions: Vec<Intervention>,
    own_metrics: Vec<std::sync::Arc<dyn Metric>>,
    groupings: Vec<TokenGroups>,
    options: ReadoutOptions<'a>,
    seed: u64,
    names: (String, String),
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

impl<'a> Study<'a> {
    /// A study without measurements; it measures the unchanged model alone.
    pub fn new(model: &'a dyn ResidualModel) -> Self {
        Self {
            model,
            replicas: Vec::new(),
            measurements: Vec::new(),
            interventions: Vec::new(),
            own_metrics: Vec::new(),
            groupings: Vec::new(),
            options: ReadoutOptions::new(Metrics::default(), Budget::default()),
            seed: 0,
            names: ("model".to_owned(), "corpus".to_owned()),
            on_progress: Box::new(|_| {}),
        }
    }

    /// The paper's study, as far as the model has the layers, hooks and weights: deletions, swaps, the logit lens, blocks of
    /// three and five layers repeated, attention, geometry and neurons. It also has deletions after the first
    /// position, which distinguish a layer that only creates the attention sink from one that does more. Windows of two tokens,
    /// the shortest that are allowed, are long enough for all of it.
    pub fn paper(model: &'a dyn ResidualModel) -> Self {
        measurements::paper(model).into_iter().fold(Self::new(model), Self::add_boxed)
    }

    /// With another measurement.
    #[allow(clippy::should_implement_trait)] // a study is no number
    pub fn add(self, measurement: impl Measurement + 'a) -> Self {
        self.add_boxed(Box::new(measurement))
    }

    /// With another measurement, of a kind that is chosen at run time.
    pub fn add_boxed(mut self, measurement: Box<dyn Measurement + 'a>) -> Self {
        self.measurements.push(measurement);
        self
    }

    /// With one intervention, whose scores are among [`Findings::interventions`] under its name.
    pub fn intervention(mut self, intervention: impl Into<Intervention>) -> Self {
        self.interventions.push(intervention.into());
        self
    }

    /// With one more metric, in addition to the five of [`Metrics::default`] or those of [`with_metrics`](Study::with_metrics).
    pub fn metric(mut self, metric: impl Metric + 'static) -> Self {
        self.own_metrics.push(std::sync::Arc::new(metric));
        self
    }

    /// With these metrics in place of the default ones.
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.options.metrics = metrics;
        self
    }

    /// With every metric of every intervention also by these groups of positions, which are made from the same windows.
    /// [`Findings::interventions`] then have `groups`, sweeps over one axis matrices such as `delete_kl_by_class`, and the
    /// unchanged model curves such as `clean_nll_by_class`.
    ///
    /// The metric of the prediction at a position counts for the group of that position. Each group takes as much memory as
    /// all positions together: a few numbers for each intervention, metric and window.
    pub fn by_tokens(mut self, groups: TokenGroups) -> Self {
        self.groupings.push(groups);
        self
    }

    /// Against another model of the same vocabulary: its next-token distributions are the clean ones, such as those of the
    /// original of a pruned, quantised or fine-tuned model. Values `clean_*` then say how far the unchanged model is from it.
    pub fn against(mut self, reference: &'a dyn ResidualModel) -> Self {
        self.options.reference = Some(reference);
        self
    }

    /// With the same model on another device: windows are divided among all devices, and whichever is free takes the
    /// next. Findings depend on it by no more than the devices' own rounding. Measurements that are not sweeps run on the
    /// first device.
    pub fn also_on(mut self, replica: &'a dyn ResidualModel) -> Self {
        self.replicas.push(replica);
        self
    }

    /// With another seed of everything that is drawn at random; 0 by default.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// With another memory budget, for each device.
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.options.budget = budget;
        self
    }

    /// With other tiles of the readout than the budget gives.
    pub fn with_tiles(mut self, tiles: Tiles) -> Self {
        self.options.tiles = Some(tiles);
        self
    }

    /// With the names of the model and the corpus for the record.
    pub fn with_names(mut self, model: impl Into<String>, corpus: impl Into<String>) -> Self {
        self.names = (model.into(), corpus.into());
        self
    }

    /// With a function that is called with the progress of the study.
    pub fn on_progress(mut self, on_progress: impl FnMut(Progress) + 'a) -> Self {
        self.on_progress = Box::new(on_progress);
        self
    }

    /// Runs everything on every window.
    ///
    /// # Errors
    /// When the windows, a measurement, an intervention or a metric does not fit the model, two measurements or groupings have
    /// one name, a grouping is of other windows, the budget is too small, or a score or an activation is not finite.
    pub fn run(self, windows: &TokenWindows) -> Result<Findings> {
        self.check(windows)?;
        let Self {
            model,
            replicas,
            measurements,
            interventions,
            own_metrics,
            groupings,
            mut options,
            seed,
            names,
            mut on_progress,
        } = self;
        options.metrics = own_metrics.into_iter().try_fold(options.metrics, Metrics::with_shared)?;
        let metrics = options.metrics.clone();
        let criteria = measurements::CriterionPasses::default();
        let context = StudyContext::new(model, windows, seed).with_budget(options.budget).with_metrics(&metrics);
        let context = context.with_criteria(&criteria);
        let mut work = PlannedWork::new(&measurements, &context)?;
        let runs = Runs::new(model.n_layers(), std::mem::take(&mut work.sweeps), interventions);
        let derived = std::mem::take(&mut work.derived);
        derived.iter().try_for_each(|derived| derived.check(&metrics, &runs))?;
        let scoring = Scoring::new(runs.distinct().to_vec(), &runs.distinct()[0], windows, options.clone());
        let scoring = scoring.with_readings(runs.readings().to_vec());

        let total = scoring.work(model) * windows.n_sequences() as u64 + work.units(&context);
        let mut done = 0;
        let mut progress = |units| {
            done += units;
            on_progress(Progress::new(done, total));
        };
        let models: Vec<_> = std::iter::once(model).chain(replicas).collect();
        let scores = score_all(&scoring, &models, (windows, &groupings), &mut progress)?;
        let mut findings =
            Findings::new(model_record(model, &names.0), corpus_record(windows, &names.1)).with_seed(seed);
        let is_clean = |name: &str| {
            options.reference.is_some() || options.metrics.get(name).is_some_and(|metric| !metric.is_comparison())
        };
        let units = units(&options.metrics);
        runs.collect(&scores, &units, is_clean, &mut findings)?;
        unigram::add(windows, &mut findings)?;
        let measured = |windows| Measured { runs: &runs, scores: &scores, units: &units, windows };
        work.collect(&measured(&[]), &mut findings)?;
        let windows = work.run(&context, &mut findings, &mut progress)?;
        derived.iter().try_for_each(|derived| derived.add(&measured(&windows), &mut findings))?;
        Ok(findings)
    }

    /// Refuses windows, models and groupings that do not fit each other.
    fn check(&self, windows: &TokenWindows) -> Result<()> {
        windows.check(self.model)?;
        self.replicas.iter().try_for_each(|replica| check_replica(self.model, *replica))?;
        check_names(&self.groupings)?;
        check_intervention_names(&self.interventions, self.model.n_layers())?;
        Ok(self.groupings.iter().try_for_each(|groups| groups.check(windows))?)
    }
}

/// The unit of each metric.
pub(crate) fn units(metrics: &Metrics) -> BTreeMap<String, Unit> {
    metrics.iter().map(|metric| (metric.name().to_owned(), Unit::from(metric.unit().to_owned()))).collect()
}

/// Scores every intervention on every window and by every grouping, on all models.
pub(crate) fn score_all<'a>(
    scoring: &'a Scoring<'a>,
    models: &[&'a dyn ResidualModel],
    (windows, groupings): (&TokenWindows, &[TokenGroups]),
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<RunScores>> {
    let n_sequences = windows.n_sequences();
    let longest = longest_part(windows, models.len());
    let parts = (0..n_sequences).step_by(longest).map(|start| start..(start + longest).min(n_sequences));
    let work = |index: usize, parts: &mut dyn Iterator<Item = Range<usize>>, tell: &mut dyn FnMut(WorkerEvent<_>)| {
        let mut scorer = scoring.on(models[index], longest)?;
        for part in parts {
            let empty = || RunScores::new(groupings);
            let scores = scorer.score(part, empty, &mut |units| tell(WorkerEvent::Progress(units)))?;
            tell(WorkerEvent::Done(scores));
        }
        Ok(())
    };
    let mut scores = vec![RunScores::new(groupings); scoring.interventions().len()];
    let take = |event: WorkerEvent<Vec<RunScores>>| {
        match event {
            WorkerEvent::Progress(units) => progress(units),
            WorkerEvent::Done(part) => {
                scores.iter_mut().zip(&part).try_for_each(|(all, part)| all.merge(part))?;
            }
        }
        Ok(())
    };
    run_workers(models.len(), parts, work, take)?;
    Ok(scores)
}

/// Windows of a part of the corpus. One device takes all of them. With several devices, parts are so small that no
/// device waits long for the others at the end, and at most one batch.
fn longest_part(windows: &TokenWindows, n_devices: usize) -> usize {
    const PARTS_EACH: usize = 4;
    const BATCH_TOKENS: usize = 4096;
    let n_sequences = windows.n_sequences().max(1);
    if n_devices == 1 {
        return n_sequences;
    }
    n_sequences.div_ceil(n_devices * PARTS_EACH).min(BATCH_TOKENS.div_ceil(windows.seq_len()))
}

/// Refuses a replica that is another model.
pub(crate) fn check_replica(model: &dyn ResidualModel, replica: &dyn ResidualModel) -> Result<()> {
    let sizes = |model: &dyn ResidualModel| [model.n_layers(), model.d_model(), model.d_vocab()];
    let (expected, found) = (sizes(model), sizes(replica));
    if found != expected {
        return Err(StudyError::OtherReplica { expected, found });
    }
    check_precision(model.shape().precision, replica)
}

/// Refuses a model that holds its weights in another precision.
pub(crate) fn check_precision(expected: Precision, model: &dyn ResidualModel) -> Result<()> {
    let found = model.shape().precision;
    if found == expected { Ok(()) } else { Err(CoreError::OtherPrecision { expected, found }.into()) }
}

/// The versions of Stratigraph and burn, by name.
pub fn versions() -> BTreeMap<String, String> {
    let versions = [("stratigraph", env!("CARGO_PKG_VERSION")), ("burn", BURN_VERSION)];
    versions.map(|(name, version)| (name.to_owned(), version.to_owned())).into()
}

/// The version of burn that the workspace pins.
const BURN_VERSION: &str = "0.22.1";
