//! Turns named parameters into the decoder's modules: [`Builder`].

use burn::module::Param as BurnParam;
use burn::nn::{Linear, RmsNorm};
use burn::tensor::{Device, Tensor, TensorData};

use super::attention::Attention;
use super::block::Block;
use super::mlp::FeedForward;
use super::norm::{AnyNorm, LayerNorm};
use super::rotary::Rotary;
use super::vocab::VocabMatrix;
use crate::param::{Kind, Param, ParamSource, Part};
use crate::{Bias, DecoderConfig, LoadOptions, Mlp, Norm, Position, PostNorm, QkNorm, Residual, Result};

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
        let rows_per_chunk = (self.options.largest_tensor_bytes / (d_model * size_of::<f32>())).max(1);
        let (param, shape) = (Param { layer: None, part, kind: Kind::Weight }, [d_vocab, d_model]);
        VocabMatrix::build(shape, rows_per_chunk, self.device, |rows| self.source.rows(param, shape, rows))
    }

    /// The vector added to the unembedding's result, `[d_vocab]`.
    pub(super) fn head_bias(&mut self) -> Result<Option<BurnParam<Tensor<1>>>> {
        let param = Param { layer: None, part: Part::Unembed, kind: Kind::Bias };
        match self.config.head_bias {
            Bias::Absent => Ok(None),
            Bias::Present => Ok(Some(self.tensor(param, [self.config.d_vocab])?)),
        }
    }

    /// Learned positions `[n_ctx, d_model]`.
    pub(super) fn pos_embed(&mut self) -> Result<Option<BurnParam<Tensor<2>>>> {
        let param = Param { layer: None, part: Part::PosEmbed, kind: Kind::Weight };
        match self.config.position {
            Position::Learned => Ok(Some(self.tensor(param, [self.config.n_ctx, self.config.d_model])?)),
            Position::Rotary(_) => Ok(None),
        }
    }

    /// A norm over the residual stream.
    pub(super) fn norm(&mut self, layer: Option<usize>, part: Part) -> Result<AnyNorm> {
        self.norm_over(self.config.d_model, layer, part)
    }

    fn norm_over(&mut self, width: usize, layer: Option<usize>, part: Part) -> Result<AnyNorm> {
        let gamma = self.tensor(Param { layer, part, kind: Kind::Weight }, [width])?;
        Ok(match self.config.norm {
            Norm::Rms { eps } => AnyNorm::Rms(RmsNorm { gamma, epsilon: eps }),
            Norm::Layer { eps } => {
                let beta = self.tensor(Param { layer, part, kind: Kind::Bias }, [width])?;
                AnyNorm::Layer(LayerNorm { gamma, beta, epsilon: eps })
            }
        })
    }

    fn post_norm(&mut self, layer: usize, part: Part) -> Result<Option<AnyNorm>> {
        match self.config.post_norm {
            PostNorm::Absent => Ok(None),
            PostNorm::Present => self.norm(Some(layer), part).map(Some),
        }
    }

    fn qk_norm(&mut self, layer: usize, part: Part) -> Result<Option<AnyNorm>> {
        match self.config.qk_norm {
            QkNorm::Absent => Ok(None),
            QkNorm::Present => self.norm_over(self.config.d_head, Some(layer), part).map(Some),
        }
    }

    pub(super) fn block(&mut self, layer: usize) -> Result<Block> {
        let (side_by_side, shared_norm) = match self.config.residual {
            Residual::Sequential => (false, false),
            Residual::Parallel => (true, false),
            Residual::ParallelSharedNorm => (true, true),
        };
        Ok(Block {
            attn_norm: self.norm(Some(layer), Part::AttnNorm)?,
            attn: self.attention(layer)?,
            attn_post_norm: self.post_norm(layer, Part::AttnPostNorm)?,
            mlp_norm: if shared_norm { None } else { Some(self.norm(Some(layer), Part::MlpNorm)?) },
            mlp: self.mlp(layer)?,
            mlp_post_norm: self.post_norm(layer, Part::MlpPostNorm)?,
            side_by_side,
        })
    }

    fn attention(&mut self, layer: usize) -> Result<Attention> {
        let DecoderConfig { d_model, n_heads, n_kv_heads, d_head, qkv_bias, attn_out_bias, .. } = *self.config;
        Ok(Attention {
            query: self.linear(layer, Part::Query, [d_model, n_heads * d_head], qkv_bias)?,
            key: self.linear(layer, Part::Key, [d_model, n_kv_heads * d_head], qkv_bias)?,
            value: self.linear(layer, Part::Value, [d_model, n_kv_heads * d_head], qkv_bias)?,
            output: self.linear(layer, Part::AttnOut, [n_heads * d_head, d_model], attn_out_bias)?,
            query_norm: self.qk_norm(layer, Part::QueryNorm)?,
            key_norm: self.qk_norm(layer, Part::KeyNorm)?,
            n_heads,
            n_kv_heads,
            d_head,
            scale: self.config.attn_scale,
            window: self.config.window_of(layer),
            rotary: self.config.rope_of(layer).map(Rotary::new),
        })
    }

    fn mlp(&mut self, layer: usize) -> Result<FeedForward> {
        let DecoderConfig { d_model, d_mlp, mlp_bias, .. } = *self.config;
        let (gated, activation) = match self.config.mlp {
            Mlp::Plain { activation } => (false, activation),
            Mlp::Gated { activation } => (true, activation),
        };
        let gate = gated.then(|| self.linear(layer, Part::Gate, [d_model, d_mlp], mlp_bias)).transpose()?;
        Ok(FeedForward {
            gate,
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
