//! The decoder: [`Decoder`], a stack of blocks between an embedding and an unembedding.

mod attention;
mod block;
mod build;
mod host;
mod mlp;
mod norm;
mod params;
mod rotary;
mod streamed;
mod vocab;

use std::ops::Range;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{Hook, ResidualModel, Result, Site, Sublayer, Tap, lies_in_host_memory};

pub(crate) use self::block::Block;
use self::build::Builder;
use self::norm::AnyNorm;
pub use self::streamed::StreamedDecoder;
use self::vocab::VocabMatrix;
use crate::param::{ParamSource, Part};
use crate::{DecoderConfig, Head, LoadOptions, Residual};

/// A decoder-only language model as its [`DecoderConfig`] describes it; a burn module, so it moves, trains and saves.
#[derive(Module, Debug)]
pub struct Decoder {
    embed: VocabMatrix,
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
        let mut builder = Builder { config, source, options, device };
        Ok(Self {
            embed: builder.vocab_matrix(Part::Embed)?,
            pos_embed: builder.pos_embed()?,
            blocks: (0..n_layers).map(|layer| builder.block(layer)).collect::<crate::Result<_>>()?,
            final_norm: builder.norm(None, Part::FinalNorm)?,
            unembed: match config.head {
                Head::Tied => None,
                Head::Untied => Some(builder.vocab_matrix(Part::Unembed)?),
            },
            head_bias: builder.head_bias()?,
            config: config.clone(),
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
        Builder { config, source, options, device }.block(layer)
    }

    /// Bytes of its weights, as f32.
    pub fn n_bytes(&self) -> usize {
        self.num_params() * size_of::<f32>()
    }

    /// What this decoder is.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    fn block_at(&self, site: Site) -> &Block {
        let n_layers = self.blocks.len();
        self.blocks.get(site.layer).unwrap_or_else(|| panic!("layer {} of a model with {n_layers}", site.layer))
    }
}

impl ResidualModel for Decoder {
    fn n_layers(&self) -> usize {
        self.blocks.len()
    }

    fn d_model(&self) -> usize {
        self.config.d_model
    }

    fn d_vocab(&self) -> usize {
        self.config.d_vocab
    }

    fn device(&self) -> Device {
        self.final_norm.gains().device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [_, pos] = tokens.dims();
        let rows = self.embed.rows(tokens);
        let rows = if self.config.embed_scale == 1.0 { rows } else { rows * self.config.embed_scale };
        match &self.pos_embed {
            Some(positions) => rows + positions.val().narrow(0, 0, pos).unsqueeze(),
            None => rows,
        }
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        self.block_at(site).forward(site, resid, tap)
    }

    fn sublayer(&self, site: Site, sublayer: Sublayer, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        Ok(self.block_at(site).forward_sublayer(site, sublayer, resid, tap))
    }

    fn runs_sublayers(&self) -> bool {
        true
    }

    fn final_norm(&self, rows: Tensor<2>) -> Tensor<2> {
        self.final_norm.forward(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Tensor<2> {
        let logits = self.unembed.as_ref().unwrap_or(&self.embed).logits(normed, vocab.clone());
        match &self.head_bias {
            Some(bias) => logits + bias.val().slice([vocab]).unsqueeze(),
            None => logits,
        }
    }

    fn neuron_outputs(&self, layer: usize) -> Option<Tensor<2>> {
        Some(self.block_at(Site { slot: layer, layer }).neuron_outputs())
    }

    fn unembedding(&self, vocab: Range<usize>) -> Option<Tensor<2>> {
        let rows = self.unembed.as_ref().unwrap_or(&self.embed).of_tokens(vocab);
        Some((rows * self.final_norm.gains().unsqueeze()).transpose())
    }

    fn norm_subtracts_mean(&self) -> bool {
        matches!(self.final_norm, AnyNorm::Layer(_))
    }

    fn hooks(&self) -> Vec<Hook> {
        let side_by_side = self.config.residual != Residual::Sequential;
        let absent = |hook: Hook| side_by_side && hook == Hook::ResidMid; // nothing stands between the sublayers
        Hook::ALL.into_iter().filter(|hook| !absent(*hook)).collect()
    }

    fn n_ctx(&self) -> Option<usize> {
        Some(self.config.n_ctx)
    }

    fn widest_activation(&self, seq_len: usize) -> usize {
        // Queries, MLP neurons, or the attention scores of one query.
        let config = &self.config;
        config.d_mlp.max(config.n_heads * config.d_head.max(seq_len)).max(config.d_model)
    }
}

/// A linear map of every position. On a CPU all positions are rows of one product: as one product for each window, which burn
/// chooses for some lengths, the weights would be packed anew for each.
fn linear(map: &Linear, x: Tensor<3>) -> Tensor<3> {
    if !lies_in_host_memory(&x.device()) {
        return map.forward(x);
    }
    let [batch, pos, width] = x.dims();
    let y = map.forward(x.reshape([batch * pos, width]));
    let [_, width] = y.dims();
    y.reshape([batch, pos, width])
}

/// Shows an activation to the tap if the tap wants it.
fn visit(tap: &mut dyn Tap, site: Site, hook: Hook, activation: Tensor<3>) -> Tensor<3> {
    if tap.wants(site, hook) { tap.visit(site, hook, activation) } else { activation }
}
