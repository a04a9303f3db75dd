//! One batch of windows on its way through the tree of prefixes: [`Batch`].

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use stratigraph_core::{BlockEdits, EditTap, Hook, NoTap, ResidualModel, Site, Tap};

use crate::Result;
use crate::budget::Fit;
use crate::calls::{self, Call, Part};
use crate::corpus::CorpusActivations;
use crate::tree::{Action, PrefixTree, ROOT};

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
pub(crate) struct Batch<'a, F> {
    runner: Runner<'a>,
    tree: &'a PrefixTree,
    fit: &'a Fit,
    step_done: F,
    states: BTreeMap<usize, State>,
    finished: Vec<Option<Tensor<3>>>,
}

impl<'a, F: FnMut(usize)> Batch<'a, F> {
    pub(crate) fn new(
        tree: &'a PrefixTree,
        model: &'a dyn ResidualModel,
        fit: &'a Fit,
        (corpus, first): (&'a CorpusActivations, usize),
        step_done: F,
    ) -> Self {
        let finished = vec![None; tree.n_ends()];
        let runner = Runner { model, corpus, first };
        Self { runner, tree, fit, step_done, states: BTreeMap::new(), finished }
    }

    /// The last residual stream of each intervention, from the embedding.
    pub(crate) fn run(&mut self, resid: Tensor<3>) -> Result<Vec<Tensor<3>>> {
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
