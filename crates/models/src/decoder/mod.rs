//! The decoder: [`Decoder`], a stack of blocks between an embedding and an unembedding.

mod attention;
mod block;
mod build;
mod mlp;
mod rotary;
mod vocab;

use std::ops::Range;

use burn::module::Module;
use burn::nn::RmsNorm;
use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{Hook, ResidualModel, Result, Site, Sublayer, Tap};

use self::block::Block;
use self::build::Builder;
use self::vocab::VocabMatrix;
use crate::param::{ParamSource, Part};
use crate::{DecoderConfig, Head, LoadOptions};

/// A decoder-only language model as its [`DecoderConfig`] describes it; a burn module, so it moves, trains and saves.
#[derive(Module, Debug)]
pub struct Decoder {
    embed: VocabMatrix,
    blocks: Vec<Block>,
    final_norm: RmsNorm,
    /// None when the head is tied.
    unembed: Option<VocabMatrix>,
    #[module(skip)]
    config: DecoderConfig,
}

impl Decoder {
    /// Builds the decoder that a valid `config` describes from the parameters of `source`.
    pub(crate) fn build(
        config: &DecoderConfig,
        source: &mut dyn ParamSource,
        options: &LoadOptions,
        device: &Device,
    ) -> crate::Result<Self> {
        let mut builder = Builder { config, source, options, device };
        Ok(Self {
            embed: builder.vocab_matrix(Part::Embed)?,
            blocks: (0..config.n_layers).map(|layer| builder.block(layer)).collect::<crate::Result<_>>()?,
            final_norm: builder.norm(None, Part::FinalNorm)?,
            unembed: match config.head {
                Head::Tied => None,
                Head::Untied => Some(builder.vocab_matrix(Part::Unembed)?),
            },
            config: config.clone(),
        })
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
        self.final_norm.gamma.val().device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.embed.rows(tokens)
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        self.block_at(site).forward(site, resid, tap)
    }

    fn sublayer(&self, site: Site, sublayer: Sublayer, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        Ok(self.block_at(site).forward_sublayer(site, sublayer, resid, tap))
    }

    fn final_norm(&self, rows: Tensor<2>) -> Tensor<2> {
        self.final_norm.forward(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Tensor<2> {
        self.unembed.as_ref().unwrap_or(&self.embed).logits(normed, vocab)
    }

    fn hooks(&self) -> Vec<Hook> {
        Hook::ALL.to_vec()
    }

    fn n_ctx(&self) -> Option<usize> {
        Some(self.config.n_ctx)
    }

    fn widest_activation(&self, seq_len: usize) -> usize {
        // Queries, keys repeated for every query head, MLP neurons, or the attention scores of one query.
        let config = &self.config;
        config.d_mlp.max(config.n_heads * config.d_head.max(seq_len)).max(config.d_model)
    }
}

/// Shows an activation to the tap if the tap wants it.
fn visit(tap: &mut dyn Tap, site: Site, hook: Hook, activation: Tensor<3>) -> Tensor<3> {
    if tap.wants(site, hook) { tap.visit(site, hook, activation) } else { activation }
}
