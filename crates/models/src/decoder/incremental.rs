//! Running only new positions: [`IncrementalModel`] of decoders in memory and on disk.

use burn::tensor::{Int, Tensor};
use stratigraph_core::{BlockState, IncrementalModel, Result, Site, Tap};

use super::attention::KeyValues;
use super::{Decoder, StreamedDecoder};
use crate::{DecoderConfig, LongRope, RopeScaling};

impl IncrementalModel for Decoder {
    fn embed_from(&self, first: usize, tokens: Tensor<2, Int>) -> Result<Tensor<3>> {
        self.check_tokens(first, &tokens)?;
        let [_, pos] = tokens.dims();
        let rows = self.embed.rows(tokens);
        let rows = if self.config.embed_scale == 1.0 { rows } else { rows * self.config.embed_scale };
        let rows = match &self.embed_norm {
            Some(norm) => norm.forward(rows),
            None => rows,
        };
        Ok(match &self.pos_embed {
            Some(positions) => rows + positions.val().narrow(0, first, pos).unsqueeze(),
            None => rows,
        })
    }

    fn block_from(&self, site: Site, resid: Tensor<3>, state: &mut BlockState, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        self.block_at(site.layer)?.forward_from(site, resid, state, tap)
    }

    fn continues(&self, from: usize, to: usize) -> bool {
        continues(&self.config, from, to)
    }

    fn keep_windows(&self, state: &mut BlockState, windows: &[usize]) -> bool {
        state.kept::<KeyValues>().keep_windows(windows);
        true
    }
}

impl IncrementalModel for StreamedDecoder {
    fn embed_from(&self, first: usize, tokens: Tensor<2, Int>) -> Result<Tensor<3>> {
        self.trunk().embed_from(first, tokens)
    }

    fn block_from(&self, site: Site, resid: Tensor<3>, state: &mut BlockState, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        self.block_at(site.layer)?.forward_from(site, resid, state, tap)
    }

    fn continues(&self, from: usize, to: usize) -> bool {
        continues(self.config(), from, to)
    }

    fn keep_windows(&self, state: &mut BlockState, windows: &[usize]) -> bool {
        self.trunk().keep_windows(state, windows)
    }
}

/// Whether no layer's angles change between windows of `from` positions and windows of `to`.
fn continues(config: &DecoderConfig, from: usize, to: usize) -> bool {
    (0..config.n_layers).filter_map(|layer| config.rope_of(layer)).all(|rope| match &rope.scaling {
        RopeScaling::LongRope(LongRope { original_n_ctx, .. }) => !(from <= *original_n_ctx && *original_n_ctx < to),
        _ => true,
    })
}
