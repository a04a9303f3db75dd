//! Runs many interventions over one corpus, whole or in parts: [`Executor`], [`Prepared`], into a [`Sink`].

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{BlockEdits, EditTap, Hook, NoTap, ResidualModel, Site, Tap, TokenWindows};

use crate::budget::{Fit, Kept};
use crate::calls::{self, Call, Part};
use crate::corpus::CorpusActivations;
use crate::tree::{Action, PrefixTree, ROOT};
use crate::{Budget, Intervention, Result, SurgeryError};

/// A receiver of the residual streams of a run.
pub trait Sink {
    /// The error of the sink, into which errors of the run itself are converted.
    type Error: From<SurgeryError>;

    /// Takes the last residual stream of every intervention, `[batch, pos, d_model]` each and in the order of the
    /// interventions, for the windows `sequences` of the corpus.
    ///
    /// # Errors
    /// An error ends the run.
    fn batch(&mut self, sequences: Range<usize>, residuals: Vec<Tensor<3>>) -> Result<(), Self::Error>;

    /// Called when a step has been run on `n_sequences` windows; there will be [`Executor::n_steps`] for each window.
    fn step_done(&mut self, _n_sequences: usize) {}
}

/// Runs many interventions at once: every distinct prefix is computed once for each window, and states that wait for the
/// same step go through it together.
///
/// Prefixes differ from the first step or edit that differs. States of the lowest layer go first, so that variants
/// which differ only in earlier layers meet at the next one, and the weights of a layer are read once for all of them.
/// An intervention has one state at a time, so the memory that is needed does not depend on the order.
#[derive(Debug)]
pub struct Executor {
    interventions: Vec<Intervention>,
    tree: PrefixTree,
    budget: Budget,
}

impl Executor {
    /// An executor of these interventions with the default budget.
    pub fn new<I: Into<Intervention>>(interventions: impl IntoIterator<Item = I>) -> Self {
        let interventions: Vec<_> = interventions.into_iter().map(Into::into).collect();
        let tree = PrefixTree::new(&interventions);
        Self { interventions, tree, budget: Budget::default() }
    }

    /// With another budget.
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
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
    /// for.
    ///
    /// # Errors
    /// When there are no interventions, one or the windows do not fit the model, the budget is too small for one window, or
    /// there is no other window to resample from.
    pub fn prepare<'a>(
        &'a self,
        model: &'a dyn ResidualModel,
        windows: &'a TokenWindows,
        longest: usize,
    ) -> Result<Prepared<'a>> {
        if self.interventions.is_empty() {
            return Err(SurgeryError::NothingToRun);
        }
        windows.check(model)?;
        let (shape, seq_len) = (model.shape(), windows.seq_len());
        self.interventions.iter().try_for_each(|intervention| intervention.check(&shape, seq_len))?;
        let mut corpus = CorpusActivations::new(&self.interventions, model, windows)?;
        let kept = Kept { states: self.interventions.len(), corpus: corpus.bytes(&shape, seq_len) };
        let fit = self.budget.fit(model, seq_len, longest, kept)?;
        corpus.measure(model, windows, fit.n_sequences)?;
        Ok(Prepared { executor: self, model, windows, corpus, fit })
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
        for start in part.clone().step_by(fit.n_sequences) {
            let sequences = start..(start + fit.n_sequences).min(part.end);
            corpus.begin(*model, windows, sequences.clone())?;
            let resid = model.embed(windows.batch(sequences.clone(), &device)).map_err(SurgeryError::from)?;
            let step_done = |n_states| sink.step_done(n_states * sequences.len());
            let mut batch = Batch::new(executor, *model, fit, (corpus, sequences.start), step_done);
            let residuals = batch.run(resid)?;
            sink.batch(sequences, residuals)?;
        }
        Ok(())
    }
}

/// Where and how the calls of a batch run.
#[derive(Clone, Copy)]
struct Runner<'a> {
    model: &'a dyn ResidualModel,
    corpus: &'a CorpusActivations,
    /// The first window of the batch.
    first: usize,
}

impl Runner<'_> {
    /// Runs an action on the states of a call, one after the other in `resid`.
    fn run(&self, action: &Action, call: &Call, resid: Tensor<3>) -> Result<Tensor<3>> {
        let windows = || call.iter().flat_map(|part| part.windows.clone()).map(|window| self.first + window).collect();
        match action {
            Action::Embed(edits) => {
                let mut tap = EditTap::new(edits, windows()).with_corpus(self.corpus);
                let resid = tap.visit(Site { slot: 0, layer: 0 }, Hook::Embed, resid.into())?;
                tap.finish()?;
                Ok(resid.wide(Hook::Embed.at(0))?)
            }
            Action::Run(step, edits) if edits.is_empty() => step.run(self.model, 0, resid, &mut NoTap),
            Action::Run(step, edits) => {
                let edits = BlockEdits { edits, corpus: Some(self.corpus) };
                Ok(edits.run(self.model, step.layers()[0], resid, windows())?)
            }
        }
    }
}

/// The parts of one state as one tensor. One that shared a call with others gets memory of its own: a view would keep the
/// whole call alive.
fn owned(parts: Vec<Tensor<3>>, shared: bool) -> Tensor<3> {
    let viewed = shared && parts.len() == 1;
    let whole = calls::join(parts);
    if viewed { whole * 1.0 } else { whole }
}

/// A residual stream that some interventions still wait for.
struct State {
    resid: Tensor<3>,
    /// Actions that have not been run on it, each with the node it leads to.
    waiting: Vec<(usize, usize)>,
}

/// One batch of windows on its way through the tree.
struct Batch<'a, F> {
    runner: Runner<'a>,
    tree: &'a PrefixTree,
    fit: &'a Fit,
    step_done: F,
    states: BTreeMap<usize, State>,
    finished: Vec<Option<Tensor<3>>>,
}

impl<'a, F: FnMut(usize)> Batch<'a, F> {
    fn new(
        executor: &'a Executor,
        model: &'a dyn ResidualModel,
        fit: &'a Fit,
        (corpus, first): (&'a CorpusActivations, usize),
        step_done: F,
    ) -> Self {
        let finished = vec![None; executor.interventions.len()];
        let runner = Runner { model, corpus, first };
        Self { runner, tree: &executor.tree, fit, step_done, states: BTreeMap::new(), finished }
    }

    /// The last residual stream of each intervention, from the embedding.
    fn run(&mut self, resid: Tensor<3>) -> Result<Vec<Tensor<3>>> {
        self.arrive(ROOT, resid);
        while let Some(action) = self.earliest_action() {
            let takers = self.takers(action);
            self.run_together(action, &takers)?;
        }
        Ok(self.finished.iter_mut().map(|resid| resid.take().expect("every intervention ends in the tree")).collect())
    }

    /// The waiting action of the lowest layer.
    fn earliest_action(&self) -> Option<usize> {
        let waiting = self.states.values().flat_map(|state| &state.waiting);
        waiting.map(|(action, _)| *action).min_by_key(|action| self.tree.rank(*action))
    }

    /// The states that wait for `action`, each with the node it leads to.
    fn takers(&self, action: usize) -> Vec<(usize, usize)> {
        let child = |state: &State| state.waiting.iter().find(|(other, _)| *other == action).map(|(_, child)| *child);
        self.states.iter().filter_map(|(&parent, state)| Some((parent, child(state)?))).collect()
    }

    /// Runs `action` on all its takers, several at once.
    fn run_together(&mut self, action: usize, takers: &[(usize, usize)]) -> Result<()> {
        for round in takers.chunks(self.fit.states_per_round) {
            let inputs: Vec<_> = round.iter().map(|&(parent, child)| self.leave(parent, child)).collect();
            let outputs = self.run_action(action, inputs)?;
            for (&(_, child), output) in round.iter().zip(outputs) {
                self.arrive(child, output);
            }
        }
        Ok(())
    }

    /// Runs an action on some states of all windows, in as many calls as it takes, as many of them at once as there are
    /// pools.
    fn run_action(&mut self, action: usize, states: Vec<Tensor<3>>) -> Result<Vec<Tensor<3>>> {
        let (n_states, n_sequences) = (states.len(), states[0].dims()[0]);
        let Fit { windows_per_call, pools, .. } = self.fit;
        let calls = calls::divide(n_states, n_sequences, *windows_per_call, pools.n_pools());
        let (runner, action) = (self.runner, self.tree.action(action));
        let run = |call: &Call| {
            let parts = call.iter().map(|part| calls::part(&states[part.state], part.windows.clone()));
            runner.run(action, call, calls::join(parts.collect()))
        };
        let done = pools.map(calls.iter().collect(), run);
        drop(states);
        let mut outputs = vec![Vec::new(); n_states];
        for (call, output) in calls.iter().zip(done) {
            let output = output?;
            let mut first = 0;
            for Part { state, windows } in call {
                outputs[*state].push(calls::part(&output, first..first + windows.len()));
                first += windows.len();
            }
        }
        if matches!(action, Action::Run(..)) {
            (self.step_done)(n_states);
        }
        let shares =
            |state: usize| calls.iter().any(|call| call.len() > 1 && call.iter().any(|part| part.state == state));
        Ok(pools.map(outputs.into_iter().enumerate().collect(), |(state, parts)| owned(parts, shares(state))))
    }

    /// A state reaches `node`: interventions that end there are finished, others wait.
    fn arrive(&mut self, node: usize, resid: Tensor<3>) {
        for &index in &self.tree.nodes[node].ends {
            self.finished[index] = Some(resid.clone());
        }
        let waiting = self.tree.nodes[node].next.clone();
        if !waiting.is_empty() {
            self.states.insert(node, State { resid, waiting });
        }
    }

    /// The input for `child`; the parent is dropped with its last child.
    fn leave(&mut self, parent: usize, child: usize) -> Tensor<3> {
        let state = self.states.get_mut(&parent).expect("the parent waits");
        state.waiting.retain(|(_, other)| *other != child);
        if state.waiting.is_empty() {
            return self.states.remove(&parent).expect("the parent waits").resid;
        }
        state.resid.clone()
    }
}
