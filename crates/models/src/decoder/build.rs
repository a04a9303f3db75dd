//! Turns named parameters into the decoder's modules: [`Builder`].

use burn::module::Param as BurnParam;
use burn::nn::{Linear, RmsNorm};
use burn::tensor::{Device, Tensor, TensorData};

use super::attention::Attention;
use super::block::Block;
use super::mlp::GatedMlp;
use super::rotary::Rotary;
use super::vocab::VocabMatrix;
use crate::param::{Kind, Param, ParamSource, Part};
use crate::{Bias, DecoderConfig, LoadOptions, Mlp, Norm, Position, Result};

/// Asks a source for parameters, in the order in which modules are made.
pub(super) struct Builder<'a> {
    pub(super) config: &'a DecoderConfig,
    pub(super) source: &'a mut dyn ParamSource,
    pub(super) options: &'a LoadOptions,
    pub(super) device: &'a Device,
}

impl Builder<'_> {
    pub(super) fn vocab_matrix(&mut self, part: Part) -> Result<VocabMatrix> {
        let DecoderConfig { d_vocab, d_model, .. } = *self.config;
        let values = self.source.values(Param { layer: None, part, kind: Kind::Weight }, &[d_vocab, d_model])?;
        let rows_per_chunk = (self.options.largest_tensor_bytes / (d_model * size_of::<f32>())).max(1);
        Ok(VocabMatrix::new(values, [d_vocab, d_model], rows_per_chunk, self.device))
    }

    pub(super) fn norm(&mut self, layer: Option<usize>, part: Part) -> Result<RmsNorm> {
        let Norm::Rms { eps } = self.config.norm;
        let gamma = self.tensor(Param { layer, part, kind: Kind::Weight }, [self.config.d_model])?;
        Ok(RmsNorm { gamma, epsilon: eps })
    }

    pub(super) fn block(&mut self, layer: usize) -> Result<Block> {
        Ok(Block {
            attn_norm: self.norm(Some(layer), Part::AttnNorm)?,
            attn: self.attention(layer)?,
            mlp_norm: self.norm(Some(layer), Part::MlpNorm)?,
            mlp: self.mlp(layer)?,
        })
    }

    fn attention(&mut self, layer: usize) -> Result<Attention> {
        let DecoderConfig { d_model, n_heads, n_kv_heads, d_head, qkv_bias, attn_out_bias, .. } = *self.config;
        let Position::Rotary { base, scaling } = &self.config.position;
        let rotary = Rotary::new(d_head, *base, scaling);
        Ok(Attention {
            query: self.linear(layer, Part::Query, [d_model, n_heads * d_head], qkv_bias)?,
            key: self.linear(layer, Part::Key, [d_model, n_kv_heads * d_head], qkv_bias)?,
            value: self.linear(layer, Part::Value, [d_model, n_kv_heads * d_head], qkv_bias)?,
            output: self.linear(layer, Part::AttnOut, [n_heads * d_head, d_model], attn_out_bias)?,
            n_heads,
            n_kv_heads,
            d_head,
            rotary,
        })
    }

    fn mlp(&mut self, layer: usize) -> Result<GatedMlp> {
        let DecoderConfig { d_model, d_mlp, mlp_bias, .. } = *self.config;
        let Mlp::Gated { activation } = self.config.mlp;
        Ok(GatedMlp {
            gate: self.linear(layer, Part::Gate, [d_model, d_mlp], mlp_bias)?,
            up: self.linear(layer, Part::Up, [d_model, d_mlp], mlp_bias)?,
            down: self.linear(layer, Part::Down, [d_mlp, d_model], mlp_bias)?,
            activation,
        })
    }

    fn linear(&mut self, layer: usize, part: Part, shape: [usize; 2], bias: Bias) -> Result<Linear> {
        let param = |kind| Param { layer: Some(layer), part, kind };
        Ok(Linear {
            weight: self.tensor(param(Kind::Weight), shape)?,
            bias: match bias {
                Bias::Absent => None,
                Bias::Present => Some(self.tensor(param(Kind::Bias), [shape[1]])?),
            },
        })
    }

    fn tensor<const D: usize>(&mut self, param: Param, shape: [usize; D]) -> Result<BurnParam<Tensor<D>>> {
        let values = self.source.values(param, &shape)?;
        Ok(BurnParam::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device)))
    }
}
