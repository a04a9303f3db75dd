//! The pass over a corpus that attributes logits and reads direct effects out: [`EffectsPass`].

use std::ops::Range;

use stratigraph_core::{Hook, Observer, PerSequence, RunModel, Taps};
use stratigraph_probes::attribution::{DirectEffects, LogitAttribution};
use stratigraph_probes::readout::Readout;
use stratigraph_profile::{Axis, Curve, Unit};
use stratigraph_surgery::{Budget, SurgeryError};

use super::super::empty_curve;
use crate::progress::{pass_work, readout_work};
use crate::{Result, StudyContext, WindowMeasures};

/// Under which name the loss of the unchanged model is kept for total effects.
pub(super) const CLEAN_LOSS: &str = "effects_clean_loss";

/// Attributes the logits of windows and measures the direct effects of sublayers.
pub(crate) struct EffectsPass<'a> {
    context: StudyContext<'a>,
    /// Windows that run at once.
    batch: usize,
    /// Bytes of the budget for readouts.
    readout_bytes: usize,
}

impl<'a> EffectsPass<'a> {
    /// Fits it into the budget.
    ///
    /// # Errors
    /// When that is too small for one window.
    pub(crate) fn new(context: &StudyContext<'a>) -> Result<Self> {
        /// Tokens beyond which a batch runs no faster.
        const BATCH_TOKENS: usize = 2048;
        let Budget { bytes, .. } = context.budget;
        let (readout_bytes, seq_len) = (bytes / 4, context.windows.seq_len());
        let left = Budget { bytes: bytes - readout_bytes, ..context.budget };
        let batch = match left.windows_at_once(&context.model.shape(), seq_len, kept_bytes(context)) {
            Err(SurgeryError::BudgetTooSmall { needed, .. }) => {
                return Err(SurgeryError::BudgetTooSmall { budget: bytes, needed: needed / 3 * 4 + 4 }.into());
            }
            fitting => fitting?.min(BATCH_TOKENS.div_ceil(seq_len)),
        };
        Ok(Self { context: *context, batch, readout_bytes })
    }

    /// About how many multiplications a window takes.
    pub(crate) fn window_units(&self) -> u64 {
        let StudyContext { model, windows, .. } = self.context;
        let readouts = DirectEffects::n_readouts(model.n_layers()) as u64;
        pass_work(&model.shape(), windows.seq_len()) + readouts * self.readout_units(1)
    }

    /// Of a readout of some windows.
    fn readout_units(&self, n_sequences: usize) -> u64 {
        let StudyContext { model, windows, .. } = self.context;
        readout_work(&model.shape(), n_sequences * windows.seq_len())
    }

    /// Measures some windows of the corpus.
    ///
    /// # Errors
    /// When the model fails, an activation or a loss is not finite, or the output weights of heads do not give what attention
    /// wrote.
    pub(crate) fn measure(&self, part: Range<usize>, progress: &mut dyn FnMut(u64)) -> Result<WindowMeasures> {
        let StudyContext { model, windows, .. } = self.context;
        let readout = Readout::new(model).with_bytes(self.readout_bytes);
        let mut attribution = LogitAttribution::new(model, windows)?;
        let mut direct = DirectEffects::new(&readout, windows);
        for start in part.clone().step_by(self.batch) {
            let range = start..(start + self.batch).min(part.end);
            let (tokens, mut cache) = (windows.batch(range.clone(), &model.device()), DirectEffects::cache());
            attribution.begin(range.clone());
            let resid = model.forward(tokens, &mut Taps::new([&mut cache as _, &mut attribution as _]))?;
            attribution.end(&resid)?;
            progress(pass_work(&model.shape(), range.len() * windows.seq_len()));
            let readout_units = self.readout_units(range.len());
            direct.add(range, &resid, &cache, || progress(readout_units))?;
        }
        attribution.check()?;
        Ok(self.with_attribution(&attribution, self.direct(&direct)))
    }

    fn direct(&self, direct: &DirectEffects) -> WindowMeasures {
        let measures = WindowMeasures::default().with_kept(CLEAN_LOSS, direct.clean_loss().clone());
        let measures = self.with_layers("direct_attention", direct.attention(), measures);
        self.with_layers("direct_mlp", direct.mlp(), measures)
    }

    fn with_attribution(&self, attribution: &LogitAttribution, measures: WindowMeasures) -> WindowMeasures {
        let measures = self.with_layers("dla_attention", attribution.attention(), measures);
        let mut measures = self.with_layers("dla_mlp", attribution.mlp(), measures);
        if let Some(bias) = attribution.attention_bias() {
            measures = self.with_layers("dla_attention_bias", bias, measures);
        }
        let n_heads = attribution.heads().next().map_or(0, <[PerSequence]>::len);
        let axes = [Axis::layers(attribution.heads().count()), Axis::heads(n_heads)];
        measures
            .with_matrix("dla_heads", axes, Unit::Logits, attribution.heads().flatten().cloned())
            .with_value("dla_embed", attribution.embed())
            .with_value("dla_final_bias", attribution.final_bias())
            .with_value("centred_logit", attribution.centred_logit())
    }

    fn with_layers<'p>(
        &self,
        name: &str,
        layers: impl IntoIterator<Item = &'p PerSequence>,
        measures: WindowMeasures,
    ) -> WindowMeasures {
        let Curve { axis, unit, .. } = empty_curve(name, self.context.model.n_layers());
        measures.with_curve(name, axis, unit, layers.into_iter().cloned())
    }
}

/// Bytes that are kept of a window in the pass, beside a block at work: what every sublayer writes, and the numbers of every
/// head.
fn kept_bytes(context: &StudyContext) -> usize {
    /// Residual streams that are alive at once.
    const STREAMS: usize = 8;
    let (shape, seq_len) = (context.model.shape(), context.windows.seq_len());
    let written = [Hook::AttnOut, Hook::MlpOut].iter().filter_map(|hook| shape.numbers_at(*hook, seq_len));
    let n_heads = shape.n_heads_at(Hook::Z).unwrap_or(0);
    let of_position = shape.n_layers * (written.sum::<usize>() + n_heads + 5) + STREAMS * shape.d_model;
    of_position * seq_len * size_of::<f32>()
}
