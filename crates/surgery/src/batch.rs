//! One batch of windows on its way through the tree of prefixes: [`Batch`].

use std::collections::VecDeque;
use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{BlockEdits, EditTap, Hook, NoTap, ResidualModel, Site, Tap};

use crate::budget::Fit;
use crate::calls::{self, Call, Part};
use crate::corpus::CorpusActivations;
use crate::states::{Next, States};
use crate::tree::{Action, Edge, PrefixTree, ROOT};
use crate::{LastStream, Result, Sink};

/// Where and how the calls of a batch run.
#[derive(Clone, Copy)]
pub(crate) struct Runner<'a> {
    pub(crate) model: &'a dyn ResidualModel,
    pub(crate) corpus: &'a CorpusActivations,
    /// The first window of the batch.
    pub(crate) first: usize,
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

/// One batch of windows on its way through the tree; the last streams go to a sink.
pub(crate) struct Batch<'a, S> {
    runner: Runner<'a>,
    tree: &'a PrefixTree,
    fit: &'a Fit,
    sink: &'a mut S,
    sequences: Range<usize>,
    states: States<'a>,
    /// Streams that have ended and were not handed to the sink yet.
    ended: Vec<LastStream>,
    /// The remaining actions of the intervention that ends first.
    way: VecDeque<Edge>,
}

impl<'a, S: Sink> Batch<'a, S> {
    /// The windows `sequences` of the corpus; `way` is that of the intervention that ends first.
    pub(crate) fn new(
        tree: &'a PrefixTree,
        (runner, fit): (Runner<'a>, &'a Fit),
        (sink, sequences): (&'a mut S, Range<usize>),
        way: VecDeque<Edge>,
    ) -> Self {
        Self { runner, tree, fit, sink, sequences, states: States::new(tree), ended: Vec::new(), way }
    }

    /// Runs every intervention, from the embedding.
    pub(crate) fn run(mut self, resid: Tensor<3>) -> Result<(), S::Error> {
        self.arrive(ROOT, resid);
        while let Some(next) = self.next() {
            self.run_together(&next)?;
            if self.room() == 0 && self.ended.len() >= self.fit.sizes.group && self.way.is_empty() {
                self.hand_on()?;
            }
        }
        if self.ended.is_empty() { Ok(()) } else { self.hand_on() }
    }

    /// How many states more can be held.
    fn room(&self) -> usize {
        self.fit.sizes.most_states.saturating_sub(self.states.len() + self.ended.len())
    }

    fn next(&mut self) -> Option<Next> {
        match self.way.pop_front() {
            Some(Edge { parent, action }) => Some(self.states.on_the_way(parent, action, self.room())),
            None => self.states.next(self.room()),
        }
    }

    /// Hands the streams that have ended to the sink.
    fn hand_on(&mut self) -> Result<(), S::Error> {
        let mut ended = std::mem::take(&mut self.ended);
        ended.sort_by_key(|stream| stream.intervention);
        self.sink.batch(self.sequences.clone(), ended)
    }

    /// Runs an action on all its takers, several at once.
    fn run_together(&mut self, Next { action, takers }: &Next) -> Result<()> {
        for round in takers.chunks(self.fit.sizes.states_per_round) {
            let inputs: Vec<_> = round.iter().map(|taker| self.states.leave(*taker)).collect();
            let outputs = self.run_action(*action, inputs)?;
            for (taker, output) in round.iter().zip(outputs) {
                self.arrive(taker.child, output);
            }
        }
        Ok(())
    }

    /// Runs an action on some states of all windows, in as many calls as it takes, as many of them at once as there are
    /// pools.
    fn run_action(&mut self, action: usize, states: Vec<Tensor<3>>) -> Result<Vec<Tensor<3>>> {
        let (n_states, n_sequences) = (states.len(), states[0].dims()[0]);
        let Fit { sizes, pools } = self.fit;
        let calls = calls::divide(n_states, n_sequences, sizes.windows_per_call, pools.n_pools());
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
            self.sink.step_done(n_states * n_sequences);
        }
        let shares =
            |state: usize| calls.iter().any(|call| call.len() > 1 && call.iter().any(|part| part.state == state));
        Ok(pools.map(outputs.into_iter().enumerate().collect(), |(state, parts)| owned(parts, shares(state))))
    }

    /// A state reaches `node`: interventions that end there are done, others wait.
    fn arrive(&mut self, node: usize, resid: Tensor<3>) {
        let ends = &self.tree.nodes[node].ends;
        self.ended.extend(ends.iter().map(|&intervention| LastStream { intervention, resid: resid.clone() }));
        self.states.arrive(node, resid);
    }
}
