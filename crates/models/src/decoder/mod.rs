//! The decoder: [`Decoder`], a stack of blocks between an embedding and an unembedding.

mod attention;
mod block;
mod build;
mod experts;
mod few_rows;
mod half_weights;
mod host;
mod incremental;
mod kept;
mod linear;
mod mlp;
mod norm;
mod params;
mod rotary;
mod streamed;
#[cfg(test)]
mod tests;
mod vocab;

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{
    CoreError, IncrementalModel, ModelShape, ModelWeights, Precision, ResidualModel, Result, Site, Tap, is_host_device,
};

pub(crate) use self::block::Block;
use self::build::Builder;
use self::norm::AnyNorm;
pub use self::streamed::StreamedDecoder;
use self::vocab::VocabMatrix;
use crate::param::{ParamSource, Part};
use crate::{DecoderConfig, Head, LoadOptions, ModelError};

/// A decoder-only language model as its [`DecoderConfig`] describes it; a burn module, so it moves, trains and saves.
#[derive(Module, Debug)]
pub struct Decoder {
    embed: VocabMatrix,
    /// The norm of the embedding, where there is one.
    embed_norm: Option<AnyNorm>,
    /// Learned positions `[n_ctx, d_model]`, where there are any.
    pos_embed: Option<Param<Tensor<2>>>,
    blocks: Vec<Block>,
    final_norm: AnyNorm,
    /// None when the head is tied.
    unembed: Option<VocabMatrix>,
    /// `[d_vocab]`
    head_bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    config: DecoderConfig,
    #[module(skip)]
    precision: Precision,
}

impl Decoder {
    /// Builds the decoder that a valid `config` describes from the parameters of `source`, or only its first layers.
    pub(crate) fn build(
        config: &DecoderConfig,
        n_layers: usize,
        source: &mut dyn ParamSource,
        options: &LoadOptions,
        device: &Device,
    ) -> crate::Result<Self> {
        check_precision(options.precision, device)?;
        let mut builder = Builder { config, source, options, device, kept: Default::default() };
        Ok(Self {
            embed: builder.vocab_matrix(Part::Embed)?,
            embed_norm: builder.embed_norm()?,
            pos_embed: builder.pos_embed()?,
            blocks: (0..n_layers).map(|layer| builder.block(layer)).collect::<crate::Result<_>>()?,
            final_norm: builder.norm(None, Part::FinalNorm)?,
            unembed: match config.head {
                Head::Tied => None,
                Head::Untied => Some(builder.vocab_matrix(Part::Unembed)?),
            },
            head_bias: builder.head_bias()?,
            config: config.clone(),
            precision: options.precision,
        })
    }

    /// Builds one block of it.
    pub(crate) fn build_block(
        config: &DecoderConfig,
        layer: usize,
        source: &mut dyn ParamSource,
        options: &LoadOptions,
        device: &Device,
    ) -> crate::Result<Block> {
        Builder { config, source, options, device, kept: Default::default() }.block(layer)
    }

    /// Bytes of its weights, as they are held.
    pub fn n_bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(Block::n_half_bytes).sum::<usize>();
        let vocab = self.unembed.iter().chain([&self.embed]).map(VocabMatrix::n_half_bytes).sum::<usize>();
        self.num_params() * size_of::<f32>() + blocks + vocab
    }

    /// The configuration.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Logits, or what they are made of, times the model's factor of logits.
    fn scaled(&self, x: Tensor<2>) -> Tensor<2> {
        if self.config.logit_scale == 1.0 { x } else { x * self.config.logit_scale }
    }

    fn block_at(&self, layer: usize) -> Result<&Block> {
        let n_layers = self.blocks.len();
        self.blocks.get(layer).ok_or(CoreError::LayerOutOfRange { layer, n_layers })
    }

    /// Refuses tokens at positions from `first` on that cannot be embedded. Ids are checked here only if they are in host memory; on other devices
    /// they were checked when the run began.
    fn check_tokens(&self, first: usize, tokens: &Tensor<2, Int>) -> Result<()> {
        let ([_, pos], n_ctx, d_vocab) = (tokens.dims(), self.config.n_ctx, self.config.d_vocab);
        let seq_len = first + pos;
        if seq_len > n_ctx {
            return Err(CoreError::WindowTooLong { seq_len, n_ctx });
        }
        if !is_host_device(&tokens.device()) {
            return Ok(());
        }
        let ids: Vec<i64> = tokens.clone().try_into_vec_as().expect("token ids are whole numbers");
        match ids.into_iter().find(|id| !(0..d_vocab as i64).contains(id)) {
            Some(id) => Err(CoreError::TokenOutOfRange { id, d_vocab }),
            None => Ok(()),
        }
    }
}

/// Refuses a precision that a device cannot hold weights in.
fn check_precision(precision: Precision, device: &Device) -> crate::Result<()> {
    let reason = if precision == Precision::F32 || host::on_host(device) {
        return Ok(());
    } else if device.is_autodiff() {
        "they are not trained in 16 bit; load the model in f32"
    } else {
        "16-bit weights need a CPU device, flex or ndarray; choose one of them, or f32"
    };
    Err(ModelError::CannotHold { precision, reason })
}

impl ResidualModel for Decoder {
    fn shape(&self) -> ModelShape {
        self.config.shape().with_precision(self.precision)
    }

    fn device(&self) -> Device {
        self.embed.device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Result<Tensor<3>> {
        self.embed_from(0, tokens)
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        self.block_at(site.layer)?.forward(site, resid, tap)
    }

    fn final_norm(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        Ok(self.final_norm.forward(rows))
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Result<Tensor<2>> {
        let logits = self.unembed.as_ref().unwrap_or(&self.embed).logits(normed, vocab.clone());
        let logits = self.scaled(logits);
        let logits = match &self.head_bias {
            Some(bias) => logits + bias.val().slice([vocab]).unsqueeze(),
            None => logits,
        };
        Ok(match self.config.logit_soft_cap {
            Some(cap) => (logits / cap).tanh() * cap,
            None => logits,
        })
    }

    fn weights(&self) -> Option<&dyn ModelWeights> {
        Some(self)
    }

    fn incremental(&self) -> Option<&dyn IncrementalModel> {
        Some(self)
    }
}

impl ModelWeights for Decoder {
    fn w_out(&self, layer: usize) -> Result<Tensor<2>> {
        Ok(self.block_at(layer)?.w_out())
    }

    fn w_u(&self, vocab: Range<usize>) -> Result<Tensor<2>> {
        let rows = self.unembed.as_ref().unwrap_or(&self.embed).of_tokens(vocab);
        Ok(self.scaled(self.final_norm.times_gains(rows)).transpose())
    }

    fn final_norm_is_centered(&self) -> bool {
        matches!(self.final_norm, AnyNorm::Layer(_))
    }

    fn w_o(&self, layer: usize) -> Result<Tensor<3>> {
        Ok(self.block_at(layer)?.w_o())
    }

    fn b_o(&self, layer: usize) -> Result<Option<Tensor<1>>> {
        Ok(self.block_at(layer)?.b_o())
    }

    fn final_norm_scale(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        Ok(self.final_norm.scales_of_rows(rows))
    }
}
