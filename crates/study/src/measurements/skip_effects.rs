//! What later layers write when one is skipped: [`SkipEffects`].

use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{NoTap, PerSequence, ResidualModel, Site};
use stratigraph_probes::geometry::norm;
use stratigraph_profile::{Axis, Matrix, Unit};

use crate::progress::block_work;
use crate::{Findings, Measurement, Needs, Result, StudyContext, Work};

/// How much each layer's own contribution changes when an earlier layer is skipped: matrices `skip_effect` and
/// `skip_effect_later_tokens` over the skipped layer and the later one.
///
/// The contribution of a layer is what it adds to the residual stream, attention and MLP together. After Csordás et al. (arXiv
/// 2505.13898): where hardly any later layer changes, layers work in parallel; where all do, each builds on the one before.
#[derive(Debug, Clone, Copy, Default)]
pub struct SkipEffects;

/// The largest number of tokens that run together.
const BATCH_TOKENS: usize = 2048;

impl SkipEffects {
    pub(super) const NAME: &str = "skip_effects";

    fn run(context: &StudyContext, findings: &mut Findings, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let StudyContext { model, windows, budget, .. } = *context;
        let (shape, seq_len, half) = (model.shape(), windows.seq_len(), windows.seq_len() / 2);
        let kept = 2 * (shape.n_layers + 4) * shape.d_model * seq_len * size_of::<f32>();
        let at_once = budget.windows_at_once(&shape, seq_len, kept)?.min(BATCH_TOKENS.div_ceil(seq_len));
        let mut all = [Effects::new(shape.n_layers), Effects::new(shape.n_layers)];
        for start in (0..windows.n_sequences()).step_by(at_once) {
            let batch = start..(start + at_once).min(windows.n_sequences());
            let clean = Streams::clean(context, batch)?;
            progress(clean.block_units * shape.n_layers as u64);
            for skipped in 0..shape.n_layers {
                clean.skip(skipped, 0, windows.measured_from(), &mut all[0])?;
                clean.skip(skipped, half, half.max(windows.measured_from()), &mut all[1])?;
                progress(2 * clean.block_units * (shape.n_layers - skipped - 1) as u64);
            }
        }
        let [everywhere, later] = all.map(|effects| effects.matrix(findings));
        findings.add_matrix("skip_effect", everywhere)?;
        findings.add_matrix("skip_effect_later_tokens", later)
    }
}

impl Measurement for SkipEffects {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        Needs::nothing().with_n_layers(2).with_seq_len(2)
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let (shape, n_tokens, context) = (context.model.shape(), context.windows.ids().len(), *context);
        let n_blocks = (shape.n_layers * shape.n_layers) as u64; // the clean run, and every later layer twice
        Ok(vec![Work::own(n_blocks * block_work(&shape, n_tokens), move |findings, progress| {
            Self::run(&context, findings, progress)
        })])
    }
}

/// The residual streams of some windows in the unchanged model, `[batch, pos, d_model]` each.
struct Streams<'a> {
    model: &'a dyn ResidualModel,
    windows: Range<usize>,
    before: Vec<Tensor<3>>,
    block_units: u64,
}

impl<'a> Streams<'a> {
    fn clean(context: &StudyContext<'a>, windows: Range<usize>) -> Result<Self> {
        let model = context.model;
        let tokens = context.windows.batch(windows.clone(), &model.device());
        let mut before = vec![model.embed(tokens)?];
        for layer in 0..model.n_layers() {
            let next = model.block(Site { slot: layer, layer }, before[layer].clone(), &mut NoTap)?;
            before.push(next);
        }
        let block_units = block_work(&model.shape(), windows.len() * context.windows.seq_len());
        Ok(Self { model, windows, before, block_units })
    }

    /// Skips a layer at the positions before `until`, or at all where that is 0, and adds what changes in later layers at the
    /// positions from `from` on.
    fn skip(&self, skipped: usize, until: usize, from: usize, effects: &mut Effects) -> Result<()> {
        let (before, after) = (&self.before[skipped], &self.before[skipped + 1]);
        let [_, pos, _] = before.dims();
        let mut resid = match until {
            0 => before.clone(),
            _ => Tensor::cat(vec![before.clone().narrow(1, 0, until), after.clone().narrow(1, until, pos - until)], 1),
        };
        for layer in skipped + 1..self.model.n_layers() {
            let next = self.model.block(Site { slot: layer, layer }, resid.clone(), &mut NoTap)?;
            let clean = self.before[layer + 1].clone() - self.before[layer].clone();
            let change = norm(next.clone() - resid - clean.clone());
            effects.add(skipped, layer, &self.windows, from, [change, norm(clean)]);
            resid = next;
        }
        Ok(())
    }
}

/// The relative changes of each later layer, by the layer that was skipped.
struct Effects {
    n_layers: usize,
    cells: Vec<PerSequence>,
}

impl Effects {
    fn new(n_layers: usize) -> Self {
        Self { n_layers, cells: vec![PerSequence::default(); n_layers * n_layers] }
    }

    /// Adds the lengths of a change and of what changed, `[batch, pos]`; a layer that writes nothing at a position has no change
    /// there.
    fn add(&mut self, skipped: usize, layer: usize, windows: &Range<usize>, from: usize, lengths: [Tensor<2>; 2]) {
        let [_, pos] = lengths[0].dims();
        let [change, clean] = lengths.map(|of| of.try_into_vec_as::<f32>().expect("any float"));
        let cell = &mut self.cells[skipped * self.n_layers + layer];
        for (row, (change, clean)) in change.iter().zip(&clean).enumerate() {
            if row % pos >= from && *clean != 0.0 {
                cell.push(windows.start + row / pos, f64::from(*change) / f64::from(*clean));
            }
        }
    }

    fn matrix(&self, findings: &Findings) -> Matrix {
        let cells = self.cells.iter().map(|cell| findings.estimate(cell));
        let layers = || Axis::layers(self.n_layers);
        Matrix::from_estimates(layers(), layers(), Unit::Dimensionless, cells)
    }
}
