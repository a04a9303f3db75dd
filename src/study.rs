//! The experiments of the paper in one pass over a corpus: [`Study`].
//!
//! This is where surgery and measures meet: the executor's residual streams go through a readout into scores.

use std::collections::BTreeMap;
use std::ops::Range;

use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::readout::Tiles;
use stratigraph_probes::scores::Scores;
use stratigraph_probes::{SuffixTask, WicTokens, WordEnds};
use stratigraph_surgery::{Budget, LayerPlan};

use crate::lexical::Lexical;
use crate::runs::{Findings, Runs};
use crate::scoring::Scoring;
use crate::share::{Heard, share_out};
use crate::{Error, Experiment, Result, anatomy};

/// How far a study is, in units of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Work done.
    pub done: u64,
    /// All of the work.
    pub total: u64,
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
    others: Vec<&'a dyn ResidualModel>,
    experiments: Vec<Experiment>,
    plans: Vec<LayerPlan>,
    metrics: Metrics,
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
            others: Vec::new(),
            experiments: Experiment::USUAL.into_iter().filter(possible).collect(),
            plans: Vec::new(),
            metrics: Metrics::default(),
            lexical: Lexical::default(),
            skip_first: 0,
            budget: Budget::default(),
            tiles: None,
            on_progress: Box::new(|_| {}),
        }
    }

    /// With the same model on another device: surgery's windows are shared out among all of them, and whichever is free takes
    /// the next. Findings depend on it by no more than the devices' own rounding. What looks inside the model runs on the
    /// first.
    ///
    /// # Panics
    /// When it is a model of another shape.
    pub fn also_on(mut self, model: &'a dyn ResidualModel) -> Self {
        assert_eq!(shape(model), shape(self.model), "layers, width and vocabulary of the same model");
        self.others.push(model);
        self
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

    /// With other metrics of surgery and lens than the default ones.
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
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

    /// With another memory budget, for each device.
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
        let Self { model, others, experiments, plans, metrics, lexical, skip_first, budget, tiles, mut on_progress } =
            self;
        if let Some(&experiment) = experiments.iter().find(|experiment| !experiment.is_possible(model)) {
            return Err(Error::ExperimentImpossible { experiment });
        }
        lexical.check(model)?;
        let inside: Vec<_> = experiments.iter().copied().filter(|experiment| experiment.looks_inside()).collect();
        let runs = Runs::new(model.n_layers(), &experiments, &plans);
        let scoring =
            Scoring::new(runs.distinct(), runs.clean(), windows, (budget, tiles)).with_metrics(metrics.clone());
        let n_sequences = windows.n_sequences();
        let total =
            scoring.work(model) * n_sequences as u64 + anatomy::work(model, &inside, windows) + lexical.work(model);
        let mut done = 0;
        let mut hear = |work| {
            done += work;
            on_progress(Progress { done, total });
        };

        let models: Vec<_> = std::iter::once(model).chain(others).collect();
        let longest = longest_part(windows, models.len());
        let parts = (0..n_sequences).step_by(longest).map(|start| start..(start + longest).min(n_sequences));
        let work = |index: usize, parts: &mut dyn Iterator<Item = Range<usize>>, hear: &mut dyn FnMut(Heard<_>)| {
            let mut scorer = scoring.on(models[index], longest)?;
            for part in parts {
                let scores = scorer.score(part, Scores::default, &mut |work| hear(Heard::Work(work)))?;
                hear(Heard::Done(scores));
            }
            Ok(())
        };
        let mut scores: BTreeMap<_, _> =
            scoring.plans().iter().map(|plan| (plan.clone(), Scores::new(&metrics))).collect();
        let take = |heard: Heard<Vec<Scores>>| {
            match heard {
                Heard::Work(work) => hear(work),
                Heard::Done(part) => scores.values_mut().zip(&part).try_for_each(|(all, part)| all.merge(part))?,
            }
            Ok(())
        };
        share_out(models.len(), parts, work, take)?;
        let mut findings = runs.collect(&metrics, &scores);
        anatomy::look(model, windows, (&inside, skip_first), &mut findings, &mut hear)?;
        lexical.look(model, &mut findings, hear)?;
        Ok(findings)
    }
}

/// Windows of a part of the corpus: all of them for one device, and for several so few that none waits long for the others at
/// the end, and no more than run as one batch.
fn longest_part(windows: &TokenWindows, n_devices: usize) -> usize {
    const PARTS_EACH: usize = 4;
    const BATCH_TOKENS: usize = 4096;
    let n_sequences = windows.n_sequences().max(1);
    if n_devices == 1 {
        return n_sequences;
    }
    n_sequences.div_ceil(n_devices * PARTS_EACH).min(BATCH_TOKENS.div_ceil(windows.seq_len()))
}

/// Layers, width and vocabulary.
pub(crate) fn shape(model: &dyn ResidualModel) -> [usize; 3] {
    [model.n_layers(), model.d_model(), model.d_vocab()]
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
