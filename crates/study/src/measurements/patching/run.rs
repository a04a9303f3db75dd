//! Runs the patches of a group of pairs: [`GroupRun`], with a [`PairOutcome`] for each pair.

use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{ActivationCache, Hook, ModelShape, ResidualModel, RunModel, TokenWindows};
use stratigraph_probes::readout::Readout;
use stratigraph_surgery::{Budget, Executor, Intervention, LastStream, Sink, SurgeryError, Sweep, SweepContext};

use super::encoded::PairGroup;
use super::reading::{AnswerReadout, last_position};
use super::{ActivationPatching, PatchDirection, n_columns};
use crate::progress::{block_work, pass_work};
use crate::{Result, StudyError};

/// The metric of one pair without a patch and with each patch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PairOutcome {
    /// The index of the pair.
    pub(super) pair: usize,
    /// Tokens of each prompt.
    pub(super) seq_len: usize,
    /// The metric after the clean prompt.
    pub(super) clean: f64,
    /// The metric after the corrupted prompt.
    pub(super) corrupted: f64,
    /// `[direction][patch]`: the patches of each hook in turn, by layer and then by position or head.
    pub(super) patched: Vec<Vec<f64>>,
}

impl PairOutcome {
    /// A value of the metric, scaled so that the corrupted run is 0 and the clean run 1.
    pub(super) fn normalised(&self, value: f64) -> f64 {
        (value - self.corrupted) / (self.clean - self.corrupted)
    }
}

/// About how many multiplications patching `n_pairs` pairs of `seq_len` tokens takes.
pub(super) fn work(patching: &ActivationPatching, shape: &ModelShape, seq_len: usize, n_pairs: usize) -> u64 {
    let n_layers = shape.n_layers;
    let in_each_layer: usize = patching.hooks.iter().map(|hook| n_columns(*hook, shape, seq_len)).sum();
    // A patch of layer `l` runs layers `l` to the last one; the unpatched layers before it are shared.
    let n_steps = in_each_layer * n_layers * (n_layers + 1) / 2 + n_layers.saturating_sub(1);
    let n_tokens = n_pairs * seq_len;
    let sources = 2 * pass_work(shape, n_tokens);
    sources + (patching.directions.len() * n_steps) as u64 * block_work(shape, n_tokens)
}

/// Bytes of the activations that are kept of one prompt of `seq_len` tokens.
pub(super) fn cached_bytes(patching: &ActivationPatching, shape: &ModelShape, seq_len: usize) -> usize {
    let floats = |hook: &Hook| shape.numbers_at(*hook, seq_len).unwrap_or(4 * shape.d_model);
    patching.hooks.iter().map(floats).sum::<usize>() * seq_len * shape.n_layers * size_of::<f32>()
}

/// The runs of a group of pairs.
pub(super) struct GroupRun<'a> {
    pub(super) patching: &'a ActivationPatching,
    pub(super) model: &'a dyn ResidualModel,
    pub(super) group: &'a PairGroup<'a>,
    /// Half of it is for the executor, a quarter for the readout, and a quarter for the cached activations.
    pub(super) budget: Budget,
}

/// An unpatched run of a group's prompts.
struct Source {
    /// The patches of its activations into the run of the other prompts.
    interventions: Vec<Intervention>,
    /// The residual stream at the last position, `[pair, 1, d_model]`.
    last: Tensor<3>,
}

impl GroupRun<'_> {
    /// The outcome of each pair, in the order of the group; `done` is called with the multiplications since its last call.
    pub(super) fn outcomes(&self, done: &mut dyn FnMut(u64)) -> Result<Vec<PairOutcome>> {
        let Self { patching, model, group, budget } = self;
        let n_pairs = group.len();
        let clean = self.source(&group.clean, PatchDirection::Denoise)?;
        let corrupted = self.source(&group.corrupted, PatchDirection::Noise)?;
        done(2 * pass_work(&model.shape(), n_pairs * group.seq_len()));
        let readout = Readout::new(*model).with_bytes(budget.bytes / 4);
        let readout = AnswerReadout::new(readout, *model, (*group, &patching.metric), clean.last.clone())?;
        let unpatched = readout.values(0..n_pairs, vec![clean.last, corrupted.last])?;
        let mut outcomes: Vec<_> = (0..n_pairs)
            .map(|index| PairOutcome {
                pair: group.members[index],
                seq_len: group.seq_len(),
                clean: unpatched[0][index],
                corrupted: unpatched[1][index],
                patched: Vec::new(),
            })
            .collect();
        for direction in &patching.directions {
            let (interventions, windows) = match direction {
                PatchDirection::Denoise => (&clean.interventions, &group.corrupted),
                PatchDirection::Noise => (&corrupted.interventions, &group.clean),
            };
            let values = self.patched(interventions, windows, (&readout, &mut *done))?;
            for (index, outcome) in outcomes.iter_mut().enumerate() {
                outcome.patched.push(values.iter().map(|run| run[index]).collect());
            }
        }
        Ok(outcomes)
    }

    /// Runs prompts, and makes patches of their activations if the direction is wanted.
    fn source(&self, windows: &TokenWindows, direction: PatchDirection) -> Result<Source> {
        let Self { patching, model, .. } = self;
        let is_wanted = patching.directions.contains(&direction);
        let hooks = patching.hooks.iter().copied().filter(|_| is_wanted);
        let mut cache = ActivationCache::at(hooks);
        let tokens = windows.batch(0..windows.n_sequences(), &model.device());
        let last = last_position(model.forward(tokens, &mut cache)?);
        let context = SweepContext::new(model.shape(), windows.seq_len());
        let mut interventions = Vec::new();
        for &hook in patching.hooks.iter().filter(|_| is_wanted) {
            let sweep = if hook.has_heads() { Sweep::patch_heads(hook, &cache) } else { Sweep::patch(hook, &cache) };
            interventions.extend(sweep?.points(&context)?.interventions);
        }
        Ok(Source { interventions, last: last * 1.0 }) // a copy: a view would keep the whole stream in memory
    }

    /// The metric of each patch and pair, `[patch][pair]`. If the budget is too small for all patches together, they run in
    /// two halves.
    fn patched(
        &self,
        interventions: &[Intervention],
        windows: &TokenWindows,
        (readout, done): (&AnswerReadout, &mut dyn FnMut(u64)),
    ) -> Result<Vec<Vec<f64>>> {
        let n_pairs = windows.n_sequences();
        let budget = Budget { bytes: self.budget.bytes / 2, ..self.budget };
        let executor = Executor::new(interventions.to_vec()).with_budget(budget);
        match executor.prepare(self.model, windows, n_pairs) {
            Err(SurgeryError::BudgetTooSmall { .. }) if interventions.len() > 1 => {
                let (first, second) = interventions.split_at(interventions.len() / 2);
                let mut values = self.patched(first, windows, (readout, &mut *done))?;
                values.extend(self.patched(second, windows, (readout, done))?);
                Ok(values)
            }
            prepared => {
                let step = block_work(&self.model.shape(), windows.seq_len());
                let mut sink = AnswerSink { readout, values: vec![Vec::new(); interventions.len()], step, done };
                prepared?.run(0..n_pairs, &mut sink)?;
                Ok(sink.values)
            }
        }
    }
}

/// Computes the metric of each patched run.
struct AnswerSink<'a, 'd> {
    readout: &'a AnswerReadout<'a>,
    /// `[patch][pair]`
    values: Vec<Vec<f64>>,
    /// About how many multiplications a step takes.
    step: u64,
    done: &'d mut dyn FnMut(u64),
}

impl Sink for AnswerSink<'_, '_> {
    type Error = StudyError;

    fn batch(&mut self, pairs: Range<usize>, streams: Vec<LastStream>) -> Result<()> {
        let patches: Vec<_> = streams.iter().map(|stream| stream.intervention).collect();
        let last = streams.into_iter().map(|stream| last_position(stream.resid)).collect();
        let found = self.readout.values(pairs, last)?;
        patches.iter().zip(found).for_each(|(&patch, found)| self.values[patch].extend(found));
        Ok(())
    }

    fn step_done(&mut self, n_windows: usize) {
        (self.done)(n_windows as u64 * self.step);
    }
}
