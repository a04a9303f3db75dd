//! Runs many plans over one corpus: [`Executor`], under a [`Budget`], into a [`Sink`].

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{NoTap, ResidualModel, Site, TokenWindows};

use crate::ablation::Replacements;
use crate::tree::{PlanTree, ROOT};
use crate::{LayerPlan, Result, Step, SurgeryError};

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

/// How much memory a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of residual streams and activations held at once, the weights not counted. 2 GiB by default.
    pub bytes: usize,
    /// Bytes of the widest activation up to which several windows or states go through a layer together; one window
    /// always runs. 128 MiB by default, which is the largest buffer that every graphics adapter grants.
    pub largest_tensor_bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: 2 << 30, largest_tensor_bytes: 128 << 20 }
    }
}

/// Tokens that one call of a block is meant to take: enough to keep matrix products busy, few enough for the caches.
const CALL_TOKENS: usize = 2048;

/// Activations of the widest kind that are alive inside a block at once.
const WIDE_ACTIVATIONS: usize = 8;

/// Runs many plans at once: every distinct prefix is computed once for each window, and states that wait for the same step
/// go through it as one batch.
///
/// States of the lowest layer go first, so that variants which differ only in earlier layers meet at the next one.
/// When the budget leaves no room for another state, one is followed to its end depth first.
#[derive(Debug)]
pub struct Executor {
    plans: Vec<LayerPlan>,
    tree: PlanTree,
    budget: Budget,
}

/// How one run fits its budget.
struct Fit {
    /// Windows in a batch.
    n_sequences: usize,
    /// Residual streams alive at once, beside those that are finished.
    live_states: usize,
    /// States that go through a step in one call.
    states_per_call: usize,
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
    /// When a plan or the windows do not fit the model, the budget is too small for one window, there is no other window
    /// to resample from, or the sink fails.
    pub fn run<S: Sink>(
        &self,
        model: &dyn ResidualModel,
        windows: &TokenWindows,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        self.plans.iter().try_for_each(|plan| plan.check_model(model))?;
        windows.check(model).map_err(SurgeryError::from)?;
        let mut replacements = Replacements::of(&self.plans, model, windows)?;
        let fit = self.fit(model, windows, &replacements)?;
        replacements.measure(model, windows, fit.n_sequences)?;
        let device = model.device();
        let mut start = 0;
        while start < windows.n_sequences() {
            let sequences = start..(start + fit.n_sequences).min(windows.n_sequences());
            start = sequences.end;
            replacements.begin(model, windows, sequences.clone())?;
            let resid = model.embed(windows.batch(sequences.clone(), &device));
            let step_done = |n_states| sink.step_done(n_states * sequences.len());
            let mut batch = Batch::new(self, model, &fit, &replacements, step_done);
            let residuals = batch.run(resid)?;
            sink.batch(sequences, residuals)?;
        }
        Ok(())
    }

    /// Divides the budget: first what finished plans keep, then the activations of one call, then states in flight.
    fn fit(&self, model: &dyn ResidualModel, windows: &TokenWindows, replacements: &Replacements) -> Result<Fit> {
        let seq_len = windows.seq_len();
        let state = seq_len * model.d_model().max(1) * size_of::<f32>();
        let widest = seq_len * model.widest_activation(seq_len).max(1) * size_of::<f32>();
        let walk = self.tree.nodes[ROOT].keeps + 1;
        let held = replacements.bytes(seq_len, model.d_model());
        let needed = state * (self.plans.len() + walk) + held + widest * WIDE_ACTIVATIONS;
        let Budget { bytes, largest_tensor_bytes } = self.budget;
        if needed > bytes {
            return Err(SurgeryError::BudgetTooSmall { budget: bytes, needed });
        }
        let most = (bytes / needed).min(CALL_TOKENS.div_ceil(seq_len)).min(largest_tensor_bytes / widest);
        let n_sequences = most.clamp(1, windows.n_sequences());
        let live_states = (bytes - needed * n_sequences) / 2 / (state * n_sequences) + walk;
        let spare = bytes - n_sequences * (held + state * (self.plans.len() + live_states));
        let by_budget = spare / (widest * WIDE_ACTIVATIONS * n_sequences);
        let by_tensor = largest_tensor_bytes / (widest * n_sequences);
        let by_size = CALL_TOKENS.div_ceil(seq_len * n_sequences);
        Ok(Fit { n_sequences, live_states, states_per_call: by_budget.min(by_tensor).min(by_size).max(1) })
    }
}

/// Some windows of a residual stream, in memory of their own: a mere view would keep all of it alive.
fn part(resid: &Tensor<3>, start: usize, n_sequences: usize) -> Tensor<3> {
    if resid.dims()[0] == n_sequences {
        return resid.clone();
    }
    resid.clone().narrow(0, start, n_sequences) * 1.0
}

/// A residual stream that some plans still wait for.
struct State {
    resid: Tensor<3>,
    /// Children of its node that have not been computed, in the order of a depth-first walk.
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
            let grows = takers.iter().filter(|(parent, _)| self.states[parent].waiting.len() > 1).count();
            let room = self.fit.live_states - self.tree.nodes[ROOT].keeps;
            if self.states.len() + grows <= room {
                self.run_together(&step, &takers)?;
            } else {
                self.walk_one()?;
            }
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

    /// Runs `step` on all its takers, several in a call.
    fn run_together(&mut self, step: &Step, takers: &[(usize, usize)]) -> Result<()> {
        for group in takers.chunks(self.fit.states_per_call) {
            let inputs: Vec<_> = group.iter().map(|&(parent, child)| self.leave(parent, child)).collect();
            let n_sequences = inputs[0].dims()[0];
            let together = if inputs.len() == 1 { inputs.into_iter().next() } else { Some(Tensor::cat(inputs, 0)) };
            let slot = self.tree.nodes[group[0].0].depth; // only a tap could tell it from the others' slots
            let output = self.run_step(step, slot, together.expect("a group is not empty"), group.len())?;
            for (i, &(_, child)) in group.iter().enumerate() {
                self.arrive(child, part(&output, i * n_sequences, n_sequences));
            }
        }
        Ok(())
    }

    /// Takes the state nearest to its end out of the others and runs all that waits for it, depth first.
    fn walk_one(&mut self) -> Result<()> {
        let deepest = self.states.keys().copied().max_by_key(|&node| self.tree.nodes[node].depth);
        let node = deepest.expect("a state waits");
        let state = self.states.remove(&node).expect("a state waits");
        self.walk(node, state)
    }

    fn walk(&mut self, node: usize, mut state: State) -> Result<()> {
        let slot = self.tree.nodes[node].depth;
        let last = state.waiting.pop();
        for (step, child) in state.waiting {
            let resid = self.run_step(&step, slot, state.resid.clone(), 1)?;
            self.walk_from(child, resid)?;
        }
        match last {
            Some((step, child)) => {
                let resid = self.run_step(&step, slot, state.resid, 1)?; // the parent is given away
                self.walk_from(child, resid)
            }
            None => Ok(()),
        }
    }

    fn walk_from(&mut self, node: usize, resid: Tensor<3>) -> Result<()> {
        self.finish_plans(node, &resid);
        self.walk(node, State { resid, waiting: self.tree.nodes[node].next.clone() })
    }

    fn run_step(&mut self, step: &Step, slot: usize, resid: Tensor<3>, n_states: usize) -> Result<Tensor<3>> {
        let output = match *step {
            Step::Ablated(layer, half, ablation) => {
                self.replacements.run(self.model, Site { slot, layer }, (half, ablation), resid)?
            }
            _ => step.run(self.model, slot, resid, &mut NoTap)?,
        };
        (self.step_done)(n_states);
        Ok(output)
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
