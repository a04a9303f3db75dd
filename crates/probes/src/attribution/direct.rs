//! Direct effects of sublayers on the loss: [`DirectEffects`].

use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{ActivationCache, Hook, TokenWindows};

use crate::readout::Readout;
use crate::statistics::PerSequence;
use crate::{ProbeError, Result};

/// How much the loss of the next token rises when the residual stream after the last layer loses what one sublayer wrote, in
/// the unchanged model and over a corpus. Later layers still read the sublayer's output; the final norm is applied to the rest.
///
/// ```
/// use burn::tensor::Device;
/// use stratigraph_core::{RunModel, TokenWindows};
/// use stratigraph_models::DecoderConfig;
/// use stratigraph_probes::attribution::DirectEffects;
/// use stratigraph_probes::readout::Readout;
///
/// let device = Device::flex();
/// let model = DecoderConfig::new(2, 16, 4, 50).init(0, &device)?;
/// let windows = TokenWindows::new(&[3, 1, 4, 1, 5, 9, 2, 6], 4)?;
/// let readout = Readout::new(&model);
/// let mut effects = DirectEffects::new(&readout, &windows);
/// let mut cache = DirectEffects::cache();
/// let resid = model.forward(windows.batch(0..2, &device), &mut cache)?;
/// effects.add(0..2, &resid, &cache, || {})?;
/// assert!(effects.mlp()[1].summary().mean.is_finite());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DirectEffects<'a> {
    readout: &'a Readout<'a>,
    windows: &'a TokenWindows,
    clean: PerSequence,
    attention: Vec<PerSequence>,
    mlp: Vec<PerSequence>,
}

impl<'a> DirectEffects<'a> {
    /// How many readouts a batch of windows takes, in a model of `n_layers` layers.
    pub fn n_readouts(n_layers: usize) -> usize {
        2 * n_layers + 1
    }

    /// Nothing measured yet.
    pub fn new(readout: &'a Readout<'a>, windows: &'a TokenWindows) -> Self {
        let none = vec![PerSequence::default(); readout.model().n_layers()];
        Self { readout, windows, clean: PerSequence::default(), attention: none.clone(), mlp: none }
    }

    /// A cache of what has to be kept of a run.
    pub fn cache() -> ActivationCache {
        ActivationCache::at([Hook::AttnOut, Hook::MlpOut])
    }

    /// The loss of the unchanged model, in nats.
    pub fn clean_loss(&self) -> &PerSequence {
        &self.clean
    }

    /// How much the loss rises without the output of each layer's attention, in nats.
    pub fn attention(&self) -> &[PerSequence] {
        &self.attention
    }

    /// How much the loss rises without the output of each layer's MLP, in nats.
    pub fn mlp(&self) -> &[PerSequence] {
        &self.mlp
    }

    /// Adds the windows `sequences` of the corpus: their residual stream `[batch, pos, d_model]` after the last layer, and
    /// the [cache](DirectEffects::cache) of their run. `done` is called after each of the
    /// [readouts](DirectEffects::n_readouts).
    ///
    /// # Errors
    /// When the residual stream is of other windows or another model, the cache lacks what a sublayer wrote, or a loss is
    /// not finite.
    pub fn add(
        &mut self,
        sequences: Range<usize>,
        resid: &Tensor<3>,
        cache: &ActivationCache,
        mut done: impl FnMut(),
    ) -> Result<()> {
        let rows = Rows::new(self.windows, sequences, resid)?;
        let clean = rows.losses(self.readout, resid)?;
        done();
        rows.push(&mut self.clean, clean.iter().copied());
        for layer in 0..self.attention.len() {
            for (hook, effects) in [(Hook::AttnOut, &mut self.attention), (Hook::MlpOut, &mut self.mlp)] {
                let without = resid.clone() - cache.tensor(hook.at(layer))?;
                let losses = rows.losses(self.readout, &without)?;
                done();
                rows.push(&mut effects[layer], losses.iter().zip(&clean).map(|(loss, clean)| loss - clean));
            }
        }
        Ok(())
    }
}

/// The positions of some windows that count and have a next token.
struct Rows {
    /// The window and position of each.
    places: Vec<(usize, usize)>,
    /// Counted through all positions of the windows.
    rows: Vec<usize>,
    tokens: Vec<u32>,
}

impl Rows {
    fn new(windows: &TokenWindows, sequences: Range<usize>, resid: &Tensor<3>) -> Result<Self> {
        let (n_sequences, seq_len, first) = (windows.n_sequences(), windows.seq_len(), windows.scored_from());
        let Range { start, end } = sequences;
        if start > end || end > n_sequences {
            return Err(ProbeError::NoSuchWindows { start, end, n_sequences });
        }
        let [batch, pos, d_model] = resid.dims();
        let expected = [end - start, seq_len];
        if [batch, pos] != expected {
            let (found, expected) = (resid.dims().to_vec(), vec![expected[0], expected[1], d_model]);
            return Err(ProbeError::WrongShape { what: "the residual stream".to_owned(), found, expected });
        }
        let places = (start..end).flat_map(|window| (first..seq_len - 1).map(move |position| (window, position)));
        let places: Vec<_> = places.collect();
        let rows = places.iter().map(|(window, position)| (window - start) * seq_len + position).collect();
        let tokens = places.iter().map(|&(window, position)| windows.sequence(window)[position + 1]).collect();
        Ok(Self { places, rows, tokens })
    }

    /// The loss at each, in nats.
    fn losses(&self, readout: &Readout, resid: &Tensor<3>) -> Result<Vec<f64>> {
        let scores = readout.of_tokens(resid, &self.rows, &self.tokens)?;
        let losses: Vec<f64> = scores.iter().map(|token| -token.log_prob).collect();
        match losses.iter().zip(&self.places).find(|(loss, _)| !loss.is_finite()) {
            None => Ok(losses),
            Some((&value, &(sequence, position))) => {
                Err(ProbeError::NotFinite { metric: "nll".to_owned(), value, sequence, position })
            }
        }
    }

    fn push(&self, to: &mut PerSequence, values: impl Iterator<Item = f64>) {
        self.places.iter().zip(values).for_each(|(&(window, _), value)| to.push(window, value));
    }
}
