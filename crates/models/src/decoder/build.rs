//! Turns named parameters into the decoder's modules: [`Builder`].

use burn::module::Param as BurnParam;
use burn::nn::RmsNorm;
use burn::tensor::{Device, Tensor, TensorData};
use stratigraph_kernels::HalfMatrix;

use super::attention::{Alibi, Attention, EachHead, HeadNorm, KeptScoring, Scoring};
use super::block::Block;
use super::experts::{Mixture, Shared};
use super::half_weights::{HalfWeights, too_large};
use super::linear::Linear;
use super::mlp::{AnyMlp, FeedForward};
use super::norm::{AnyNorm, LayerNorm};
use super::rotary::Rotary;
use super::vocab::VocabMatrix;
use crate::param::{Kind, Param, ParamSource, Part};
use crate::{
    AttentionSinks, Bias, DecoderConfig, EmbedNorm, Experts, LoadOptions, Mlp, ModelError, Norm, NormPlacement,
    Position, QkNorm, Residual, Result, Rope,
};

/// Asks a source for parameters, in the order in which modules are made.
pub(super) struct Builder<'a> {
    pub(super) config: &'a DecoderConfig,
    pub(super) source: &'a mut dyn ParamSource,
    pub(super) options: &'a LoadOptions,
    pub(super) device: &'a Device,
    pub(super) kept: KeptPositions,
}

/// What layers share of positions, kept on the device.
#[derive(Default)]
pub(super) struct KeptPositions {
    scoring: KeptScoring,
    rotaries: Vec<(Rope, Rotary)>,
}

impl KeptPositions {
    /// The rotation of a layer; layers with the same one share its angles.
    fn rotary(&mut self, rope: &Rope) -> Rotary {
        if let Some((_, rotary)) = self.rotaries.iter().find(|(known, _)| known == rope) {
            return rotary.clone();
        }
        let rotary = Rotary::new(rope);
        self.rotaries.push((rope.clone(), rotary.clone()));
        rotary
    }
}

/// The maps of an MLP.
struct MlpParts {
    gate: Option<Part>,
    up: Part,
    down: Part,
}

impl Builder<'_> {
    pub(super) fn vocab_matrix(&mut self, part: Part) -> Result<VocabMatrix> {
        let DecoderConfig { d_vocab, d_model, .. } = *self.config;
        let (param, shape) = (Param { layer: None, part, kind: Kind::Weight }, [d_vocab, d_model]);
        if let Some(format) = HalfWeights::format(self.options.precision) {
            const ROWS: usize = 4096;
            let mut matrix = HalfMatrix::zeros([d_model, d_vocab], format);
            for start in (0..d_vocab).step_by(ROWS) {
                let rows = self.source.rows(param, shape, start..(start + ROWS).min(d_vocab))?;
                self.check_range(param, &rows)?;
                matrix.set_columns(start, &rows);
            }
            return Ok(VocabMatrix::half(HalfWeights::new(matrix, self.device)));
        }
        let rows_per_chunk = (self.options.largest_tensor_bytes / (d_model * size_of::<f32>())).max(1);
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
            Position::Rotary(_) | Position::Alibi | Position::FalconAlibi => Ok(None),
        }
    }

    /// The norm of the embedding.
    pub(super) fn embed_norm(&mut self) -> Result<Option<AnyNorm>> {
        match self.config.embed_norm {
            EmbedNorm::Absent => Ok(None),
            EmbedNorm::Present => self.norm(None, Part::EmbedNorm).map(Some),
        }
    }

    /// A norm over the residual stream.
    pub(super) fn norm(&mut self, layer: Option<usize>, part: Part) -> Result<AnyNorm> {
        self.norm_over(self.config.d_model, layer, part)
    }

    fn norm_over(&mut self, width: usize, layer: Option<usize>, part: Part) -> Result<AnyNorm> {
        let norm = self.config.norm;
        let gain = (!matches!(norm, Norm::LayerWithoutWeights { .. }))
            .then(|| self.tensor(Param { layer, part, kind: Kind::Weight }, [width]))
            .transpose()?;
        let beta = matches!(norm, Norm::Layer { .. })
            .then(|| self.tensor(Param { layer, part, kind: Kind::Bias }, [width]))
            .transpose()?;
        Ok(match (norm, gain) {
            (Norm::Rms { eps }, Some(gamma)) => AnyNorm::Rms(RmsNorm { gamma, epsilon: eps }),
            (norm, gamma) => AnyNorm::Layer(LayerNorm { gamma, beta, epsilon: norm.eps() }),
        })
    }

    /// A norm of block `layer`, where the placement has one.
    fn block_norm(&mut self, layer: usize, part: Part, placements: [NormPlacement; 2]) -> Result<Option<AnyNorm>> {
        placements.contains(&self.config.norm_placement).then(|| self.norm(Some(layer), part)).transpose()
    }

    /// The norm of the queries or keys of `heads` heads; `one` names the norm of one head.
    fn qk_norm(&mut self, layer: usize, part: Part, heads: usize, one: fn(u32) -> Part) -> Result<Option<HeadNorm>> {
        let d_head = self.config.d_head;
        Ok(match self.config.qk_norm {
            QkNorm::None => None,
            QkNorm::PerHead => Some(HeadNorm::PerHead(self.norm_over(d_head, Some(layer), part)?)),
            QkNorm::FullWidth => Some(HeadNorm::FullWidth(self.norm_over(heads * d_head, Some(layer), part)?)),
            QkNorm::EachHead => {
                let mut gains = Vec::with_capacity(heads * d_head);
                for head in 0..heads {
                    let param = Param { layer: Some(layer), part: one(head as u32), kind: Kind::Weight };
                    gains.extend(self.source.values(param, &[d_head])?);
                }
                let gains = Tensor::from_data(TensorData::new(gains, [heads, d_head]), self.device);
                let plain = LayerNorm { gamma: None, beta: None, epsilon: self.config.norm.eps() };
                let gains = BurnParam::from_tensor(gains);
                Some(HeadNorm::EachHead(EachHead { plain: AnyNorm::Layer(plain), gains }))
            }
        })
    }

    pub(super) fn block(&mut self, layer: usize) -> Result<Block> {
        const BEFORE: [NormPlacement; 2] = [NormPlacement::Pre, NormPlacement::Sandwich];
        const BEHIND: [NormPlacement; 2] = [NormPlacement::Post, NormPlacement::Sandwich];
        let residual = self.config.residual;
        Ok(Block {
            attn_norm: self.block_norm(layer, Part::AttnNorm, BEFORE)?,
            attn: self.attention(layer)?,
            attn_post_norm: self.block_norm(layer, Part::AttnPostNorm, BEHIND)?,
            mlp_norm: match residual {
                Residual::ParallelSharedNorm => None,
                Residual::Sequential | Residual::Parallel => self.block_norm(layer, Part::MlpNorm, BEFORE)?,
            },
            mlp: self.any_mlp(layer)?,
            mlp_post_norm: self.block_norm(layer, Part::MlpPostNorm, BEHIND)?,
            scale: self.config.residual_scale,
            residual,
        })
    }

    fn attention(&mut self, layer: usize) -> Result<Attention> {
        let DecoderConfig { d_model, n_heads, n_kv_heads, d_head, qkv_bias, attn_out_bias, .. } = *self.config;
        Ok(Attention {
            query: self.linear(layer, Part::Query, [d_model, n_heads * d_head], qkv_bias)?,
            key: self.linear(layer, Part::Key, [d_model, n_kv_heads * d_head], qkv_bias)?,
            value: self.linear(layer, Part::Value, [d_model, n_kv_heads * d_head], qkv_bias)?,
            output: self.linear(layer, Part::AttnOut, [n_heads * d_head, d_model], attn_out_bias)?,
            query_norm: self.qk_norm(layer, Part::QueryNorm, n_heads, Part::HeadQueryNorm)?,
            key_norm: self.qk_norm(layer, Part::KeyNorm, n_kv_heads, Part::HeadKeyNorm)?,
            sinks: match self.config.sinks {
                AttentionSinks::Absent => None,
                AttentionSinks::Present => {
                    let param = Param { layer: Some(layer), part: Part::Sinks, kind: Kind::Weight };
                    Some(self.tensor(param, [n_heads])?)
                }
            },
            n_heads,
            n_kv_heads,
            d_head,
            scoring: self.scoring(layer),
            rotary: self.config.rope_of(layer).map(|rope| self.kept.rotary(rope)),
        })
    }

    fn scoring(&self, layer: usize) -> Scoring {
        Scoring {
            scale: self.config.attn_scale,
            clip: self.config.qkv_clip,
            soft_cap: self.config.attn_soft_cap,
            window: self.config.window_of(layer),
            alibi: match self.config.position {
                Position::Alibi => Some(Alibi::ByDistance),
                Position::FalconAlibi => Some(Alibi::ByKeyRounded),
                Position::Learned | Position::Rotary(_) => None,
            },
            query_scaling: self.config.query_scaling,
            kept: self.kept.scoring.clone(),
        }
    }

    fn any_mlp(&mut self, layer: usize) -> Result<AnyMlp> {
        let config = self.config;
        if let Some(experts) = config.experts_of(layer) {
            return self.mixture(layer, experts).map(AnyMlp::Mixture);
        }
        let gate = (!matches!(config.mlp, Mlp::Plain { .. })).then_some(Part::Gate);
        self.feed_forward(layer, MlpParts { gate, up: Part::Up, down: Part::Down }, config.d_mlp).map(AnyMlp::One)
    }

    fn mixture(&mut self, layer: usize, experts: &Experts) -> Result<Mixture> {
        let (d_model, n_experts) = (self.config.d_model, experts.n_experts);
        let router = self.full_linear(layer, Part::Router, [d_model, n_experts], experts.router_bias)?;
        let shared = match experts.d_shared {
            None => None,
            Some(d_shared) => {
                let parts = MlpParts { gate: Some(Part::SharedGate), up: Part::SharedUp, down: Part::SharedDown };
                let mlp = self.feed_forward(layer, parts, d_shared)?;
                Some(Shared { mlp, weight: self.full_linear(layer, Part::SharedWeight, [d_model, 1], Bias::Absent)? })
            }
        };
        let expert = |index| {
            let (up, down) = (Part::ExpertUp(index), Part::ExpertDown(index));
            let parts = MlpParts { gate: Some(Part::ExpertGate(index)), up, down };
            self.feed_forward(layer, parts, experts.d_expert)
        };
        let (n_active, weighting) = (experts.n_active, experts.weighting);
        let experts = (0..n_experts as u32).map(expert).collect::<Result<_>>()?;
        Ok(Mixture { router, experts, shared, n_active, weighting })
    }

    fn feed_forward(&mut self, layer: usize, parts: MlpParts, d_mlp: usize) -> Result<FeedForward> {
        let DecoderConfig { d_model, mlp_bias, .. } = *self.config;
        let gate = parts.gate.map(|gate| self.linear(layer, gate, [d_model, d_mlp], mlp_bias)).transpose()?;
        Ok(FeedForward {
            gate,
            up: self.linear(layer, parts.up, [d_model, d_mlp], mlp_bias)?,
            down: self.linear(layer, parts.down, [d_mlp, d_model], mlp_bias)?,
            activation: self.config.mlp.activation(),
        })
    }

    /// A map whose weights are held in the precision that is asked for.
    fn linear(&mut self, layer: usize, part: Part, shape: [usize; 2], bias: Bias) -> Result<Linear> {
        let Some(format) = HalfWeights::format(self.options.precision) else {
            return self.full_linear(layer, part, shape, bias);
        };
        let param = Param { layer: Some(layer), part, kind: Kind::Weight };
        let values = self.source.values(param, &shape)?;
        self.check_range(param, &values)?;
        let mut matrix = HalfMatrix::zeros(shape, format);
        matrix.set_rows(0, &values);
        Ok(Linear::half(HalfWeights::new(matrix, self.device), self.bias(layer, part, shape, bias)?))
    }

    /// A map whose weights are f32.
    fn full_linear(&mut self, layer: usize, part: Part, shape: [usize; 2], bias: Bias) -> Result<Linear> {
        let weight = self.tensor(Param { layer: Some(layer), part, kind: Kind::Weight }, shape)?;
        Ok(Linear::full(weight, self.bias(layer, part, shape, bias)?))
    }

    fn bias(
        &mut self,
        layer: usize,
        part: Part,
        [_, d_out]: [usize; 2],
        bias: Bias,
    ) -> Result<Option<BurnParam<Tensor<1>>>> {
        match bias {
            Bias::Absent => Ok(None),
            Bias::Present => self.tensor(Param { layer: Some(layer), part, kind: Kind::Bias }, [d_out]).map(Some),
        }
    }

    /// Refuses a weight that 16 bit cannot hold.
    fn check_range(&self, param: Param, values: &[f32]) -> Result<()> {
        let precision = self.options.precision;
        match too_large(precision, values) {
            None => Ok(()),
            Some(value) => {
                let layer = param.layer.map_or(String::new(), |layer| format!(" of layer {layer}"));
                Err(ModelError::TooLarge { matrix: format!("{:?}{layer}", param.part), value, precision })
            }
        }
    }

    fn tensor<const D: usize>(&mut self, param: Param, shape: [usize; D]) -> Result<BurnParam<Tensor<D>>> {
        let values = self.source.values(param, &shape)?;
        Ok(BurnParam::from_tensor(Tensor::from_data(TensorData::new(values, shape), self.device)))
    }
}
