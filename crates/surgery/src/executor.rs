//! Runs many interventions over one corpus, whole or in parts: [`Executor`], [`Prepared`], into a [`Sink`].

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use stratigraph_core::{ResidualModel, TokenWindows};

use crate::batch::{Batch, Runner};
use crate::budget::{Fit, Kept};
use crate::corpus::{CorpusActivations, CorpusMeans, check_means};
use crate::tree::PrefixTree;
use crate::{Budget, Intervention, Result, SurgeryError};

/// The last residual stream of an intervention on some windows.
#[derive(Debug, Clone)]
pub struct LastStream {
    /// The index of the intervention among the executor's.
    pub intervention: usize,
    /// `[batch, pos, d_model]`
    pub resid: Tensor<3>,
}

/// A receiver of the residual streams of a run.
pub trait Sink {
    /// The error of the sink, into which errors of the run itself are converted.
    type Error: From<SurgeryError>;

    /// Takes the last residual streams of some interventions, in the order of these, for the windows `sequences` of the corpus.
    ///
    /// Each intervention's comes once for each window, and the windows of a part in their order. Where there are many
    /// interventions, streams that have ended are handed on while others still run, so that not all are held at once; the first
    /// call for some windows has the stream of the [first](Executor::with_first) intervention.
    ///
    /// # Errors
    /// An error ends the run.
    fn batch(&mut self, sequences: Range<usize>, streams: Vec<LastStream>) -> Result<(), Self::Error>;

    /// Called when a step has been run on `n_sequences` windows; there will be [`Executor::n_steps`] for each window.
    fn step_done(&mut self, _n_sequences: usize) {}
}

/// Runs many interventions at once: every distinct prefix is computed once for each window, and states that wait for the
/// same step go through it together.
///
/// Prefixes differ from the first step or edit that differs. States of the lowest layer run first, so that variants
/// which differ only in earlier layers meet at the next one, and the weights of a layer are read once for all of them. When
/// a few dozen more states wait than there are layers, those furthest along run to their end first, and their streams are
/// handed on: a thousand interventions take no more memory than a hundred. For a model that
/// [reads its blocks from disk](stratigraph_core::ModelShape::streams_blocks), as many states wait as the budget allows.
#[derive(Debug)]
pub struct Executor {
    interventions: Vec<Intervention>,
    tree: PrefixTree,
    budget: Budget,
    /// The intervention that ends first.
    first: usize,
    /// Means that were measured before.
    means: Option<Arc<CorpusMeans>>,
}

impl Executor {
    /// An executor of these interventions with the default budget.
    pub fn new<I: Into<Intervention>>(interventions: impl IntoIterator<Item = I>) -> Self {
        let interventions: Vec<_> = interventions.into_iter().map(Into::into).collect();
        let tree = PrefixTree::new(&interventions);
        Self { interventions, tree, budget: Budget::default(), first: 0, means: None }
    }

    /// With the intervention of another index as the first one, whose streams a sink gets before or together with those of all
    /// others; 0 by default.
    pub fn with_first(mut self, first: usize) -> Self {
        self.first = first;
        self
    }

    /// With another budget.
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// With means that were measured before, by [`means`](Executor::means), so that it does not measure them.
    pub fn with_means(mut self, means: Arc<CorpusMeans>) -> Self {
        self.means = Some(means);
        self
    }

    /// The interventions, in the order in which a sink gets their residual streams.
    pub fn interventions(&self) -> &[Intervention] {
        &self.interventions
    }

    /// How many steps run for each window: the distinct non-empty prefixes of all interventions.
    pub fn n_steps(&self) -> usize {
        self.tree.n_steps()
    }

    /// Runs every intervention on every window.
    ///
    /// # Errors
    /// Those of [`prepare`](Executor::prepare), and the sink's.
    pub fn run<S: Sink>(
        &self,
        model: &dyn ResidualModel,
        windows: &TokenWindows,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let n_sequences = windows.n_sequences();
        self.prepare(model, windows, n_sequences)?.run(0..n_sequences, sink)
    }

    /// Gets ready to run on a corpus, in parts of `longest` windows at most: measures on all of it the means that edits ask
    /// for, unless they were given.
    ///
    /// # Errors
    /// When there are no interventions, one or the windows do not fit the model, the budget is too small for one window,
    /// there is no other window to resample from, or the means that were given do not suffice.
    pub fn prepare<'a>(
        &'a self,
        model: &'a dyn ResidualModel,
        windows: &'a TokenWindows,
        longest: usize,
    ) -> Result<Prepared<'a>> {
        self.check(model, windows)?;
        let (shape, seq_len) = (model.shape(), windows.seq_len());
        let corpus = CorpusActivations::new(&self.interventions, model, windows)?;
        let (states, depth) = (self.interventions.len(), self.tree.depth());
        let kept = Kept { states, depth, corpus: corpus.bytes(&shape, seq_len) };
        let fit = self.budget.fit(model, seq_len, longest, kept)?;
        let corpus = match &self.means {
            Some(means) if !means.suffice_for(&self.interventions)? => return Err(SurgeryError::MeansMissing),
            Some(means) => corpus.with_means(means, model),
            None => {
                let means = CorpusMeans::measure(&self.interventions, model, windows, fit.sizes.n_sequences)?;
                corpus.with_means(&means, model)
            }
        };
        Ok(Prepared { executor: self, model, windows, corpus, fit })
    }

    /// Measures the means that edits ask for by a pass over the corpus; none where none does.
    ///
    /// # Errors
    /// When there are no interventions, one or the windows do not fit the model, or the budget is too small for one window.
    pub fn means(&self, model: &dyn ResidualModel, windows: &TokenWindows) -> Result<CorpusMeans> {
        self.check(model, windows)?;
        let kept = Kept { states: 1, depth: 1, corpus: 0 };
        let fit = self.budget.fit(model, windows.seq_len(), windows.n_sequences(), kept)?;
        CorpusMeans::measure(&self.interventions, model, windows, fit.sizes.n_sequences)
    }

    fn check(&self, model: &dyn ResidualModel, windows: &TokenWindows) -> Result<()> {
        if self.interventions.is_empty() {
            return Err(SurgeryError::NothingToRun);
        }
        windows.check(model)?;
        let (shape, seq_len) = (model.shape(), windows.seq_len());
        self.interventions.iter().try_for_each(|intervention| intervention.check(&shape, seq_len))?;
        check_means(&self.interventions, model)
    }
}

/// An executor with a model and a corpus: what [`Executor::prepare`] gives.
///
/// Values that edits take from the corpus come from the whole of it, so the parts of a corpus together give the result
/// of the whole, wherever and in whatever order they run.
pub struct Prepared<'a> {
    executor: &'a Executor,
    model: &'a dyn ResidualModel,
    windows: &'a TokenWindows,
    corpus: CorpusActivations,
    fit: Fit,
}

impl Prepared<'_> {
    /// Runs every intervention on some windows of the corpus; more than `longest` run in several batches.
    ///
    /// # Errors
    /// When the model or the sink fails, or an edit never fires.
    ///
    /// # Panics
    /// When `part` ends past the last window.
    pub fn run<S: Sink>(&mut self, part: Range<usize>, sink: &mut S) -> Result<(), S::Error> {
        let Self { executor, model, windows, corpus, fit } = self;
        let n_sequences = windows.n_sequences();
        assert!(part.end <= n_sequences, "windows {part:?} of a corpus of {n_sequences}");
        let device = model.device();
        for start in part.clone().step_by(fit.sizes.n_sequences) {
            let sequences = start..(start + fit.sizes.n_sequences).min(part.end);
            corpus.begin(*model, windows, sequences.clone())?;
            let resid = model.embed(windows.batch(sequences.clone(), &device)).map_err(SurgeryError::from)?;
            let runner = Runner { model: *model, corpus, first: sequences.start };
            let may_all_wait = executor.interventions.len() < fit.sizes.most_states;
            let way = if may_all_wait { VecDeque::new() } else { executor.tree.way(executor.first) };
            Batch::new(&executor.tree, (runner, fit), (&mut *sink, sequences), way).run(resid)?;
        }
        Ok(())
    }
}
