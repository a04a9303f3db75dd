//! The experiments of the paper in one pass over a corpus: [`Study`].
//!
//! This is where surgery and measures meet: the executor's residual streams go through a readout into scores.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_probes::{Metric, PerSequence, Readout, Scores, SuffixTask, Tiles, WicTokens, WordEnds};
use stratigraph_stages::{Curve, Estimate, Intervention, InterventionKind, Matrix};
use stratigraph_surgery::{Budget, Executor, LayerPlan, Sink};

use crate::lexical::Lexical;
use crate::{Error, Experiment, Result, anatomy};

/// What a plan is run for.
#[derive(Debug, Clone, Copy)]
enum Role {
    Clean,
    /// A point of an experiment's curves: at this layer, or after this many for a lens.
    Curve(Experiment, usize),
    Plan,
}

impl Role {
    /// Under which kind and layer it is listed among interventions.
    fn intervention(self) -> Option<(InterventionKind, Option<usize>)> {
        match self {
            Role::Clean => Some((InterventionKind::None, None)),
            Role::Curve(experiment, layer) => Some((experiment.intervention()?, Some(layer))),
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
    lexical: Lexical,
    skip_first: usize,
    budget: Budget,
    tiles: Option<Tiles>,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

impl<'a> Study<'a> {
    /// A study with those of the [usual](Experiment::USUAL) experiments for which the model offers the hooks and tells the
    /// weights.
    pub fn new(model: &'a dyn ResidualModel) -> Self {
        let possible = |experiment: &Experiment| experiment.is_possible(model);
        Self {
            model,
            experiments: Experiment::USUAL.into_iter().filter(possible).collect(),
            plans: Vec::new(),
            lexical: Lexical::default(),
            skip_first: 0,
            budget: Budget::default(),
            tiles: None,
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

    /// With probes for a word's sense: curve `wic_accuracy`, a value for each place in the residual stream, from pairs to fit
    /// to (five at least) and pairs to ask about; values `wic_static` (the same without any layer) and `wic_majority`.
    pub fn wic(mut self, train: WicTokens, test: WicTokens) -> Self {
        self.lexical.wic = Some((train, test));
        self
    }

    /// With a look at what each head does at the end of words of several tokens: matrix `merging_heads`.
    pub fn merging_heads(mut self, ends: WordEnds) -> Self {
        self.lexical.word_ends = Some(ends);
        self
    }

    /// With ensembles of neurons that tell whether the next word has a suffix: matrix `ensemble_SUFFIX`. `token_texts` is
    /// the text of every token.
    pub fn ensembles(mut self, suffix: &str, task: SuffixTask, token_texts: Vec<String>) -> Self {
        self.lexical.suffixes.push((suffix.to_owned(), task));
        self.lexical.token_texts = token_texts;
        self
    }

    /// With another seed of what is drawn: how word-in-context pairs are divided for cross-validation. 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.lexical.seed = seed;
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

    /// With other tiles of the readout than the budget gives.
    pub fn tiles(mut self, tiles: Tiles) -> Self {
        self.tiles = Some(tiles);
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
    /// When an experiment, a plan, the windows or what else there is to read do not fit the model, the budget is too small, or a score or an
    /// activation is not finite.
    pub fn run(self, windows: &TokenWindows) -> Result<Findings> {
        let n_layers = self.model.n_layers();
        if let Some(&experiment) = self.experiments.iter().find(|experiment| !experiment.is_possible(self.model)) {
            return Err(Error::ExperimentImpossible { experiment });
        }
        self.lexical.check(self.model)?;
        let inside: Vec<_> = self.experiments.iter().copied().filter(|experiment| experiment.looks_inside()).collect();
        let mut runs = vec![Run { role: Role::Clean, plan: LayerPlan::full(n_layers) }];
        for experiment in self.experiments {
            let plans = experiment.plans(n_layers).into_iter().enumerate();
            runs.extend(plans.map(|(layer, plan)| Run { role: Role::Curve(experiment, layer), plan }));
        }
        runs.extend(self.plans.into_iter().map(|plan| Run { role: Role::Plan, plan }));
        let plans: BTreeSet<_> = runs.iter().map(|run| run.plan.clone()).collect(); // each distinct one is read out once
        let (readout, budget) = readout(self.model, self.tiles, self.budget);
        let executor = Executor::new(plans.into_iter().collect()).with_budget(budget);
        let clean = executor.plans().iter().position(|plan| *plan == runs[0].plan).expect("it is the first run");
        let scores = vec![Scores::default(); executor.plans().len()];
        let mut work = Work::of(self.model, &executor, windows);
        work.total += anatomy::work(self.model, &inside, windows) + self.lexical.work(self.model);
        let mut bench = Bench { readout, windows, clean, scores, work, on_progress: self.on_progress };
        executor.run(self.model, windows, &mut bench)?;
        let Bench { scores, mut work, mut on_progress, .. } = bench;
        let mut findings = collect(&runs, &executor.plans().iter().zip(scores).collect());
        let mut done = |done| on_progress(work.add(done));
        anatomy::look(self.model, windows, (&inside, self.skip_first), &mut findings, &mut done)?;
        self.lexical.look(self.model, &mut findings, done)?;
        Ok(findings)
    }
}

/// A readout with its part of a budget, a quarter, and what is left for the executor.
pub(crate) fn readout(model: &dyn ResidualModel, tiles: Option<Tiles>, budget: Budget) -> (Readout<'_>, Budget) {
    let readout = Readout::new(model).with_bytes(budget.bytes / 4);
    let readout = match tiles {
        Some(tiles) => readout.with_tiles(tiles),
        None => readout,
    };
    (readout, Budget { bytes: budget.bytes - budget.bytes / 4, ..budget })
}

/// The versions of what computes a study, by name.
pub fn versions() -> BTreeMap<String, String> {
    let versions = [("stratigraph", env!("CARGO_PKG_VERSION")), ("burn", BURN_VERSION)];
    versions.map(|(name, version)| (name.to_owned(), version.to_owned())).into()
}

/// The version of burn that the workspace pins.
const BURN_VERSION: &str = "0.22.1";

/// Turns how many there have been into the work that is new, `each` for one.
pub(crate) fn increments(each: u64, done: &mut impl FnMut(u64)) -> impl FnMut(usize) {
    let mut before = 0;
    move |n| {
        done(each * (n - before) as u64);
        before = n;
    }
}

/// Counts multiplications, roughly, so that progress is even whatever the shape of the model.
struct Work {
    /// Of a step on one window.
    step: u64,
    /// Of reading one window out.
    readout: u64,
    done: u64,
    total: u64,
}

impl Work {
    fn of(model: &dyn ResidualModel, executor: &Executor, windows: &TokenWindows) -> Self {
        let (width, d_vocab) = (model.d_model() as u64, model.d_vocab() as u64);
        let (n_sequences, tokens) = (windows.n_sequences(), windows.seq_len() as u64);
        let (step, readout) = (tokens * 12 * width * width, tokens * d_vocab * width);
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
    scores: Vec<Scores>,
    work: Work,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

impl Sink for Bench<'_> {
    type Error = Error;

    fn batch(&mut self, sequences: Range<usize>, residuals: Vec<Tensor<3>>) -> Result<()> {
        self.readout.compare(self.windows, sequences.clone(), &residuals[self.clean], &residuals, &mut self.scores)?;
        let readouts = (residuals.len() as u64 + 1) * sequences.len() as u64;
        (self.on_progress)(self.work.add(readouts * self.work.readout));
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
        let curve = curves.entry(format!("{experiment}_{metric}")).or_default();
        curve.push(estimate(measured), measured.means());
    }
}

pub(crate) fn estimate(measured: &PerSequence) -> Estimate {
    let summary = measured.summary();
    Estimate { mean: summary.mean, sem: summary.sem }
}
