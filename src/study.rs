//! The experiments of the paper in one pass over a corpus: [`Study`].
//!
//! This is where surgery and measures meet: the executor's residual streams go through a readout into scores.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::str::FromStr;

use burn::tensor::Tensor;
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_probes::{Metric, PerSequence, Readout, Scores, Tiles};
use stratigraph_stages::{Curve, Estimate, Intervention, InterventionKind, Matrix};
use stratigraph_surgery::{Budget, Executor, LayerPlan, Sink, sweep};

use crate::{Error, Result, anatomy};

/// What makes curves over layers: a family of plans and their scores, or a look into the unchanged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Experiment {
    /// Each layer left out: curves `delete_*`, a value a layer.
    Delete,
    /// Each layer and the next in the other order: curves `swap_*`, a value for each layer but the last.
    Swap,
    /// The residual stream before each layer, and after the last, read out as if the model ended there: curves
    /// `lens_*`. This is the logit lens, and running no more than the first `l` layers.
    Lens,
    /// How far the heads of each layer look back, in the unchanged model: curves `attention_at_distance_*`,
    /// `prev5_attention`, `prev5_attention_mass`, `first_token_attention`, a value a layer.
    Attention,
    /// Lengths and directions of the residual stream, in the unchanged model: curves `resid_norm` (also after the last
    /// layer), `attn_out_norm`, `mlp_out_norm`, `cosine_in_out`, `block_influence`, `angular_distance_1`, `cka_adjacent`.
    Geometry,
    /// What the neurons of each layer write, by its weights: curves `prediction_neurons`, `suppression_neurons`,
    /// `mean_kurtosis`, `mean_skew`.
    Neurons,
}

impl Experiment {
    /// Every experiment.
    pub const ALL: [Experiment; 6] = [
        Experiment::Delete,
        Experiment::Swap,
        Experiment::Lens,
        Experiment::Attention,
        Experiment::Geometry,
        Experiment::Neurons,
    ];

    fn name(self) -> &'static str {
        match self {
            Experiment::Delete => "delete",
            Experiment::Swap => "swap",
            Experiment::Lens => "lens",
            Experiment::Attention => "attention",
            Experiment::Geometry => "geometry",
            Experiment::Neurons => "neurons",
        }
    }

    /// The plans it runs; none when it looks into the unchanged model.
    fn plans(self, n_layers: usize) -> Vec<LayerPlan> {
        match self {
            Experiment::Delete => sweep::delete_each(n_layers),
            Experiment::Swap => sweep::swap_adjacent(n_layers),
            Experiment::Lens => sweep::prefixes(n_layers),
            Experiment::Attention | Experiment::Geometry | Experiment::Neurons => Vec::new(),
        }
    }

    /// Whether it runs no plan but looks into the unchanged model.
    fn looks_inside(self) -> bool {
        matches!(self, Experiment::Attention | Experiment::Geometry | Experiment::Neurons)
    }

    /// Whether it sees activations of the unchanged model.
    pub(crate) fn is_observed(self) -> bool {
        matches!(self, Experiment::Attention | Experiment::Geometry)
    }
}

impl FromStr for Experiment {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Experiment::ALL.into_iter().find(|experiment| experiment.name() == name);
        known.ok_or_else(|| Error::UnknownExperiment { name: name.to_owned() })
    }
}

/// What a plan is run for.
#[derive(Debug, Clone, Copy)]
enum Role {
    Clean,
    /// A point of an experiment's curves: at this layer, or after this many for a lens.
    Curve(Experiment, usize),
    Plan,
}

impl Role {
    /// Under which kind and layer it is listed among interventions; a lens changes nothing and is not.
    fn intervention(self) -> Option<(InterventionKind, Option<usize>)> {
        match self {
            Role::Clean => Some((InterventionKind::None, None)),
            Role::Curve(Experiment::Delete, layer) => Some((InterventionKind::Delete, Some(layer))),
            Role::Curve(Experiment::Swap, layer) => Some((InterventionKind::Swap, Some(layer))),
            Role::Curve(..) => None,
            Role::Plan => Some((InterventionKind::Plan, None)),
        }
    }
}

struct Run {
    role: Role,
    plan: LayerPlan,
}

/// How far a study is, in units of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Work done.
    pub done: u64,
    /// All of the work.
    pub total: u64,
}

/// What a study found.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// A curve for each metric of each experiment, by name, such as `delete_kl`.
    pub curves: BTreeMap<String, Curve>,
    /// Single numbers, by name; the scores of the unchanged model are `clean_*`.
    pub values: BTreeMap<String, Estimate>,
    /// Matrices, by name, such as `cka`.
    pub matrices: BTreeMap<String, Matrix>,
    /// The unchanged model, every deletion and swap, and the plans that were asked for.
    pub interventions: Vec<Intervention>,
}

/// Runs experiments on a model and a corpus; every block and every readout that experiments share is done once.
///
/// ```no_run
/// use stratigraph::prelude::*;
/// use stratigraph::Experiment;
/// # fn study(model: &Decoder, windows: &TokenWindows) -> stratigraph::Result<()> {
/// let findings = Study::new(model)
///     .experiments([Experiment::Delete])
///     .plan("0-1-(2+3)-4".parse()?)
///     .run(windows)?;
/// println!("{:?}", findings.curves["delete_kl"].mean);
/// # Ok(())
/// # }
/// ```
pub struct Study<'a> {
    model: &'a dyn ResidualModel,
    experiments: Vec<Experiment>,
    plans: Vec<LayerPlan>,
    skip_first: usize,
    budget: Budget,
    tiles: Tiles,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

impl<'a> Study<'a> {
    /// A study with every experiment for which the model offers the hooks and tells the weights.
    pub fn new(model: &'a dyn ResidualModel) -> Self {
        let possible = |experiment: &Experiment| anatomy::is_possible(model, *experiment);
        Self {
            model,
            experiments: Experiment::ALL.into_iter().filter(possible).collect(),
            skip_first: 0,
            plans: Vec::new(),
            budget: Budget::default(),
            tiles: Tiles::usual(model.d_vocab()),
            on_progress: Box::new(|_| {}),
        }
    }

    /// With these experiments only.
    pub fn experiments(mut self, experiments: impl IntoIterator<Item = Experiment>) -> Self {
        self.experiments = experiments.into_iter().collect();
        self.experiments.sort();
        self.experiments.dedup();
        self
    }

    /// With a plan of the user's own, whose scores are among the interventions.
    pub fn plan(mut self, plan: LayerPlan) -> Self {
        self.plans.push(plan);
        self
    }

    /// Leaves the first `n` positions of each window out of [`Experiment::Geometry`]: a few massive activations there can
    /// decide every number. By default none is left out.
    ///
    /// # Panics
    /// In [`run`](Study::run), when no position would be left.
    pub fn skip_first(mut self, n: usize) -> Self {
        self.skip_first = n;
        self
    }

    /// With another memory budget.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// With other tiles of the readout.
    pub fn tiles(mut self, tiles: Tiles) -> Self {
        self.tiles = tiles;
        self
    }

    /// With a function that hears how far the study is.
    pub fn on_progress(mut self, hear: impl FnMut(Progress) + 'a) -> Self {
        self.on_progress = Box::new(hear);
        self
    }

    /// Runs everything on every window.
    ///
    /// # Errors
    /// When a plan or the windows do not fit the model, the budget is too small, or a score is not finite.
    pub fn run(self, windows: &TokenWindows) -> Result<Findings> {
        let n_layers = self.model.n_layers();
        let inside: Vec<_> = self.experiments.iter().copied().filter(|experiment| experiment.looks_inside()).collect();
        let mut runs = vec![Run { role: Role::Clean, plan: LayerPlan::full(n_layers) }];
        for experiment in self.experiments {
            let plans = experiment.plans(n_layers).into_iter().enumerate();
            runs.extend(plans.map(|(layer, plan)| Run { role: Role::Curve(experiment, layer), plan }));
        }
        runs.extend(self.plans.into_iter().map(|plan| Run { role: Role::Plan, plan }));
        let plans: BTreeSet<_> = runs.iter().map(|run| run.plan.clone()).collect(); // each distinct one is read out once
        let executor = Executor::new(plans.into_iter().collect()).with_budget(self.budget);
        let clean = executor.plans().iter().position(|plan| *plan == runs[0].plan).expect("it is the first run");
        let scores = vec![Scores::default(); executor.plans().len()];
        let mut work = Work::of(self.model, &executor, windows.n_sequences());
        work.total += anatomy::work(self.model, &inside, windows);
        let readout = Readout::new(self.model).with_tiles(self.tiles);
        let together = (self.tiles.rows / windows.seq_len()).max(1);
        let mut bench = Bench { readout, windows, clean, together, scores, work, on_progress: self.on_progress };
        executor.run(self.model, windows, &mut bench)?;
        let Bench { scores, mut work, mut on_progress, .. } = bench;
        let look = |done| on_progress(work.add(done));
        let curves = anatomy::curves(self.model, windows, &inside, self.skip_first, look)?;
        let mut findings = collect(&runs, &executor.plans().iter().zip(scores).collect());
        findings.curves.extend(curves);
        Ok(findings)
    }
}

/// The versions of what computes a study, by name.
pub fn versions() -> BTreeMap<String, String> {
    let versions = [("stratigraph", env!("CARGO_PKG_VERSION")), ("burn", BURN_VERSION)];
    versions.map(|(name, version)| (name.to_owned(), version.to_owned())).into()
}

/// The version of burn that the workspace pins.
const BURN_VERSION: &str = "0.22.1";

/// Counts multiplications, roughly, so that progress is even whatever the shape of the model.
struct Work {
    step: u64,
    readout: u64,
    done: u64,
    total: u64,
}

impl Work {
    fn of(model: &dyn ResidualModel, executor: &Executor, n_sequences: usize) -> Self {
        let (width, d_vocab) = (model.d_model() as u64, model.d_vocab() as u64);
        let (step, readout) = (12 * width * width, d_vocab * width);
        let each = executor.n_steps() as u64 * step + (executor.plans().len() as u64 + 1) * readout;
        Self { step, readout, done: 0, total: each * n_sequences as u64 }
    }

    fn add(&mut self, work: u64) -> Progress {
        self.done += work;
        Progress { done: self.done, total: self.total }
    }
}

/// Where residual streams are read out.
struct Bench<'a> {
    readout: Readout<'a>,
    windows: &'a TokenWindows,
    /// Which residual stream is the unchanged model's.
    clean: usize,
    /// Windows that are read out together.
    together: usize,
    scores: Vec<Scores>,
    work: Work,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

impl Sink for Bench<'_> {
    type Error = Error;

    fn batch(&mut self, sequences: Range<usize>, residuals: Vec<Tensor<3>>) -> Result<()> {
        for start in sequences.clone().step_by(self.together) {
            let part = start..(start + self.together).min(sequences.end);
            let narrow = |resid: &Tensor<3>| resid.clone().narrow(0, start - sequences.start, part.len());
            let parts: Vec<_> = residuals.iter().map(narrow).collect();
            self.readout.compare(self.windows, part.clone(), &parts[self.clean], &parts, &mut self.scores)?;
            let readouts = (residuals.len() as u64 + 1) * part.len() as u64;
            (self.on_progress)(self.work.add(readouts * self.work.readout));
        }
        Ok(())
    }

    fn step_done(&mut self, n_sequences: usize) {
        (self.on_progress)(self.work.add(n_sequences as u64 * self.work.step));
    }
}

/// Sorts scores into curves and interventions.
fn collect(runs: &[Run], scores: &BTreeMap<&LayerPlan, Scores>) -> Findings {
    let (curves, values, matrices) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut findings = Findings { curves, values, matrices, interventions: Vec::new() };
    for Run { role, plan } in runs {
        let scores = &scores[plan];
        if let Role::Clean = role {
            let value = |metric: Metric| (format!("clean_{metric}"), estimate(scores.of(metric)));
            findings.values.extend([Metric::EntropyBits, Metric::Nll, Metric::Accuracy].map(value));
        }
        if let Role::Curve(experiment, _) = role {
            push_curves(&mut findings.curves, *experiment, scores);
        }
        if let Some((kind, layer)) = role.intervention() {
            let metrics = Metric::ALL.map(|metric| (metric.name().to_owned(), estimate(scores.of(metric))));
            let intervention = Intervention { kind, layer, plan: plan.to_string(), metrics: metrics.into() };
            findings.interventions.push(intervention);
        }
    }
    findings
}

fn push_curves(curves: &mut BTreeMap<String, Curve>, experiment: Experiment, scores: &Scores) {
    for metric in Metric::ALL {
        let measured = scores.of(metric);
        let curve = curves.entry(format!("{}_{metric}", experiment.name())).or_default();
        curve.push(estimate(measured), measured.means());
    }
}

pub(crate) fn estimate(measured: &PerSequence) -> Estimate {
    let summary = measured.summary();
    Estimate { mean: summary.mean, sem: summary.sem }
}
