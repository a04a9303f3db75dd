//! Runs many plans over one corpus, whole or in parts: [`Executor`], [`Prepared`], into a [`Sink`].

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{NoTap, ResidualModel, Site, TokenWindows};

use crate::ablation::Replacements;
use crate::budget::{Fit, Kept};
use crate::calls::{self, Call, Part};
use crate::tree::{PlanTree, ROOT};
use crate::{Budget, LayerPlan, Result, Step, SurgeryError};

/// Where the residual streams of a run go.
pub trait Sink {
    /// What can go wrong in the sink; an error of the run itself is turned into it.
    type Error: From<SurgeryError>;

    /// Takes the last residual stream of every plan, `[batch, pos, d_model]` each and in the order of the plans, for
    /// the windows `sequences` of the corpus.
    ///
    /// # Errors
    /// Whatever ends the run.
    fn batch(&mut self, sequences: Range<usize>, residuals: Vec<Tensor<3>>) -> Result<(), Self::Error>;

    /// Hears that a step has been run for so many windows; there will be [`Executor::n_steps`] for each window.
    fn step_done(&mut self, _n_sequences: usize) {}
}

/// Runs many plans at once: every distinct prefix is computed once for each window, and states that wait for the same step
/// go through it together.
///
/// States of the lowest layer go first, so that variants which differ only in earlier layers meet at the next one, and
/// the weights of a layer are read once for all of them. A plan has one state at a time, so what is held does not
/// depend on the order.
#[derive(Debug)]
pub struct Executor {
    plans: Vec<LayerPlan>,
    tree: PlanTree,
    budget: Budget,
}

impl Executor {
    /// An executor of these plans with the default budget.
    pub fn new(plans: Vec<LayerPlan>) -> Self {
        let tree = PlanTree::new(&plans);
        Self { plans, tree, budget: Budget::default() }
    }

    /// With another budget.
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// The plans, in the order in which a sink gets their residual streams.
    pub fn plans(&self) -> &[LayerPlan] {
        &self.plans
    }

    /// How many steps run for each window: the distinct non-empty prefixes of all plans.
    pub fn n_steps(&self) -> usize {
        self.tree.n_steps()
    }

    /// Runs every plan on every window.
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

    /// Gets ready to run on a corpus, in parts of `longest` windows at most: measures on all of it what stands in for ablated
    /// outputs.
    ///
    /// # Errors
    /// When a plan or the windows do not fit the model, the budget is too small for one window, or there is no other window
    /// to resample from.
    pub fn prepare<'a>(
        &'a self,
        model: &'a dyn ResidualModel,
        windows: &'a TokenWindows,
        longest: usize,
    ) -> Result<Prepared<'a>> {
        self.plans.iter().try_for_each(|plan| plan.check_model(model))?;
        windows.check(model).map_err(SurgeryError::from)?;
        let mut replacements = Replacements::of(&self.plans, model, windows)?;
        let kept =
            Kept { plans: self.plans.len(), replacements: replacements.bytes(windows.seq_len(), model.d_model()) };
        let fit = self.budget.fit(model, windows.seq_len(), longest, kept)?;
        replacements.measure(model, windows, fit.n_sequences)?;
        Ok(Prepared { executor: self, model, windows, replacements, fit })
    }
}

/// An executor with a model and a corpus: what [`Executor::prepare`] gives.
///
/// What replaces an ablated output comes from the whole corpus, so the parts of a corpus give together what the whole gives,
/// wherever and in whatever order they run.
pub struct Prepared<'a> {
    executor: &'a Executor,
    model: &'a dyn ResidualModel,
    windows: &'a TokenWindows,
    replacements: Replacements,
    fit: Fit,
}

impl Prepared<'_> {
    /// Runs every plan on some windows of the corpus; more than `longest` run in several batches.
    ///
    /// # Errors
    /// When the sink fails.
    ///
    /// # Panics
    /// When `part` ends past the last window.
    pub fn run<S: Sink>(&mut self, part: Range<usize>, sink: &mut S) -> Result<(), S::Error> {
        let Self { executor, model, windows, replacements, fit } = self;
        let n_sequences = windows.n_sequences();
        assert!(part.end <= n_sequences, "windows {part:?} of a corpus of {n_sequences}");
        let device = model.device();
        for start in part.clone().step_by(fit.n_sequences) {
            let sequences = start..(start + fit.n_sequences).min(part.end);
            replacements.begin(*model, windows, sequences.clone())?;
            let resid = model.embed(windows.batch(sequences.clone(), &device));
            let step_done = |n_states| sink.step_done(n_states * sequences.len());
            let mut batch = Batch::new(executor, *model, fit, replacements, step_done);
            let residuals = batch.run(resid)?;
            sink.batch(sequences, residuals)?;
        }
        Ok(())
    }
}

/// Runs a step on the states of a call, one after the other in `resid`.
fn run_call(
    model: &dyn ResidualModel,
    replacements: &Replacements,
    slot: usize,
    (step, call): (&Step, &Call),
    resid: Tensor<3>,
) -> Result<Tensor<3>> {
    match *step {
        Step::Ablated(layer, half, ablation) => {
            replacements.run(model, Site { slot, layer }, (half, ablation), call, resid)
        }
        _ => step.run(model, slot, resid, &mut NoTap),
    }
}

/// The parts of one state as one tensor. One that shared a call with others gets memory of its own: a view would keep the
/// whole call alive.
fn owned(parts: Vec<Tensor<3>>, shared: bool) -> Tensor<3> {
    let viewed = shared && parts.len() == 1;
    let whole = calls::join(parts);
    if viewed { whole * 1.0 } else { whole }
}

/// A residual stream that some plans still wait for.
struct State {
    resid: Tensor<3>,
    /// Children of its node that have not been computed.
    waiting: Vec<(Step, usize)>,
}

/// One batch of windows on its way through the tree.
struct Batch<'a, F> {
    model: &'a dyn ResidualModel,
    tree: &'a PlanTree,
    fit: &'a Fit,
    replacements: &'a Replacements,
    step_done: F,
    states: BTreeMap<usize, State>,
    finished: Vec<Option<Tensor<3>>>,
}

impl<'a, F: FnMut(usize)> Batch<'a, F> {
    fn new(
        executor: &'a Executor,
        model: &'a dyn ResidualModel,
        fit: &'a Fit,
        replacements: &'a Replacements,
        step_done: F,
    ) -> Self {
        let finished = vec![None; executor.plans.len()];
        Self { model, tree: &executor.tree, fit, replacements, step_done, states: BTreeMap::new(), finished }
    }

    /// The last residual stream of each plan, from the embedding.
    fn run(&mut self, resid: Tensor<3>) -> Result<Vec<Tensor<3>>> {
        self.arrive(ROOT, resid);
        while let Some(step) = self.earliest_step() {
            let takers = self.takers(&step);
            self.run_together(&step, &takers)?;
        }
        Ok(self.finished.iter_mut().map(|resid| resid.take().expect("every plan ends in the tree")).collect())
    }

    /// The waiting step of the lowest layer: states behind it catch up before any goes on, so most meet there.
    fn earliest_step(&self) -> Option<Step> {
        let waiting = self.states.values().flat_map(|state| &state.waiting);
        waiting.map(|(step, _)| step).min_by_key(|step| (step.layers().first(), *step)).cloned()
    }

    /// The states that wait for `step`, each with the node it leads to.
    fn takers(&self, step: &Step) -> Vec<(usize, usize)> {
        let child = |state: &State| state.waiting.iter().find(|(other, _)| other == step).map(|(_, child)| *child);
        self.states.iter().filter_map(|(&parent, state)| Some((parent, child(state)?))).collect()
    }

    /// Runs `step` on all its takers, several at once.
    fn run_together(&mut self, step: &Step, takers: &[(usize, usize)]) -> Result<()> {
        let slot = self.tree.nodes[takers[0].0].depth; // only a tap could tell it from the others' slots
        for round in takers.chunks(self.fit.states_per_round) {
            let inputs: Vec<_> = round.iter().map(|&(parent, child)| self.leave(parent, child)).collect();
            let outputs = self.run_step(step, slot, inputs)?;
            for (&(_, child), output) in round.iter().zip(outputs) {
                self.arrive(child, output);
            }
        }
        Ok(())
    }

    /// Runs a step on some states of all windows, in as many calls as it takes, as many of them at once as there are lanes.
    fn run_step(&mut self, step: &Step, slot: usize, states: Vec<Tensor<3>>) -> Result<Vec<Tensor<3>>> {
        let (n_states, n_sequences) = (states.len(), states[0].dims()[0]);
        let Fit { windows_per_call, lanes, .. } = self.fit;
        let calls = calls::divide(n_states, n_sequences, *windows_per_call, lanes.n_lanes());
        let (model, replacements) = (self.model, self.replacements);
        let run = |call: &Call| {
            let parts = call.iter().map(|part| calls::part(&states[part.state], part.windows.clone()));
            run_call(model, replacements, slot, (step, call), calls::join(parts.collect()))
        };
        let done = lanes.map(calls.iter().collect(), run);
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
        (self.step_done)(n_states);
        let shares =
            |state: usize| calls.iter().any(|call| call.len() > 1 && call.iter().any(|part| part.state == state));
        Ok(lanes.map(outputs.into_iter().enumerate().collect(), |(state, parts)| owned(parts, shares(state))))
    }

    /// A state reaches `node`: plans that end there are finished, others wait.
    fn arrive(&mut self, node: usize, resid: Tensor<3>) {
        self.finish_plans(node, &resid);
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

    fn finish_plans(&mut self, node: usize, resid: &Tensor<3>) {
        for &plan in &self.tree.nodes[node].plans {
            self.finished[plan] = Some(resid.clone());
        }
    }
}
