//! Lengths without the mean over `d_model`, which models with LayerNorm never read: [`CentredNorms`].

use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{Activation, Hook, HookSet, Observer, Result as CoreResult, Site, Tap};

use super::{norm, push_positions};
use crate::statistics::PerSequence;

/// Rows `[batch, pos, d_model]` minus their means over `d_model`.
pub(crate) fn without_mean(x: Tensor<3>) -> Tensor<3> {
    x.clone() - x.mean_dim(2)
}

/// Collects the lengths of the residual stream and of what sublayers add to it, each minus its mean over `d_model`.
///
/// LayerNorm subtracts this mean before anything reads the stream. The lengths are those of a model whose writing weights are
/// centred, as TransformerLens loads models with LayerNorm by default (`center_writing_weights`).
#[derive(Default)]
pub struct CentredNorms {
    skip_first: usize,
    windows: Range<usize>,
    /// Residual positions of the run so far.
    n_seen: usize,
    resid_norm: Vec<PerSequence>,
    attn_out_norm: Vec<PerSequence>,
    mlp_out_norm: Vec<PerSequence>,
}

impl CentredNorms {
    /// Leaves out the first `skip_first` positions of each window.
    pub fn new(skip_first: usize) -> Self {
        Self { skip_first, ..Self::default() }
    }

    /// The mean length of the centred residual stream, at each residual position.
    pub fn resid_norm(&self) -> &[PerSequence] {
        &self.resid_norm
    }

    /// The mean length of what each layer's attention adds, centred.
    pub fn attn_out_norm(&self) -> &[PerSequence] {
        &self.attn_out_norm
    }

    /// The mean length of what each layer's MLP adds, centred.
    pub fn mlp_out_norm(&self) -> &[PerSequence] {
        &self.mlp_out_norm
    }

    fn push(&mut self, of: fn(&mut Self) -> &mut Vec<PerSequence>, index: usize, x: Tensor<3>) {
        let (first, skip) = (self.windows.start, self.skip_first);
        push_positions(of(self), index, norm(without_mean(x)), first, skip);
    }

    fn push_stream(&mut self, x: Tensor<3>) {
        self.push(|all| &mut all.resid_norm, self.n_seen, x);
        self.n_seen += 1;
    }
}

impl Tap for CentredNorms {
    fn hooks(&self) -> HookSet {
        [Hook::ResidPre, Hook::AttnOut, Hook::MlpOut].into()
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> CoreResult<Activation> {
        let x = activation.clone().wide(hook.at(site.slot))?;
        match hook {
            Hook::AttnOut => self.push(|all| &mut all.attn_out_norm, site.layer, x),
            Hook::MlpOut => self.push(|all| &mut all.mlp_out_norm, site.layer, x),
            _ => self.push_stream(x),
        }
        Ok(activation)
    }
}

impl Observer for CentredNorms {
    fn begin(&mut self, windows: Range<usize>) {
        self.windows = windows;
        self.n_seen = 0;
    }

    fn end(&mut self, resid: &Tensor<3>) -> CoreResult<()> {
        self.push_stream(resid.clone());
        Ok(())
    }
}
