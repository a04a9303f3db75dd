//! The configuration of a decoder: [`DecoderConfig`] and its axes.

mod axes;
mod builder;
mod mlp;
mod params;
mod position;
mod validate;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use stratigraph_core::{ExpertShape, Hook, HookSet, ModelShape};

pub use self::axes::{AttentionSinks, Bias, EmbedNorm, Head, Norm, NormPlacement, QkNorm, Residual};
pub(crate) use self::builder::usual_scale;
pub use self::mlp::{Activation, Experts, Mlp, Weighting};
pub use self::position::{LongRope, Position, QueryScaling, Rope, RopeScaling, SlidingWindow, Yarn};
pub(crate) use self::validate::MOST_LAYERS;
use crate::param::RandomParams;
use crate::{Decoder, LoadOptions, Result};

/// The whole shape of a decoder. [`DecoderConfig::new`] makes one of Llama's shape, and `with_*` change it axis by axis.
///
/// ```
/// use stratigraph_models::{DecoderConfig, Head};
/// let smollm2 = DecoderConfig::new(30, 576, 9, 49_152).with_heads(9, 3, 64).with_d_mlp(1536).with_head(Head::Tied);
/// let short = smollm2.clone().with_n_layers(4);
/// assert_eq!((short.n_layers, short.n_kv_heads, short.d_mlp), (4, 3, 1536));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DecoderConfig {
    /// Blocks.
    pub n_layers: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; each is shared by `n_heads / n_kv_heads` query heads.
    pub n_kv_heads: usize,
    /// Width of a head, which need not be `d_model / n_heads`.
    pub d_head: usize,
    /// Neurons of an MLP that is not a mixture of experts.
    pub d_mlp: usize,
    /// Tokens in the vocabulary.
    pub d_vocab: usize,
    /// The longest window.
    pub n_ctx: usize,
    /// The factor of the embeddings; 1 in most models.
    pub embed_scale: f64,
    /// The norm of the embedding.
    pub embed_norm: EmbedNorm,
    /// The norm.
    pub norm: Norm,
    /// Where the norms of a block are.
    pub norm_placement: NormPlacement,
    /// How attention and MLP read the residual stream.
    pub residual: Residual,
    /// The factor of what each sublayer adds to the residual stream; 1 in most models.
    pub residual_scale: f64,
    /// The MLP.
    pub mlp: Mlp,
    /// Positions.
    pub position: Position,
    /// Layers without rotary positions, in rising order.
    pub unrotated_layers: Vec<usize>,
    /// A scale of queries that grows with their position.
    pub query_scaling: Option<QueryScaling>,
    /// Layers with a sliding window; `None` when there are none.
    pub sliding_window: Option<SlidingWindow>,
    /// The factor of the products of queries and keys; `1 / sqrt(d_head)` in most models.
    pub attn_scale: f64,
    /// Scores `s` become `cap * tanh(s / cap)` before the softmax.
    pub attn_soft_cap: Option<f64>,
    /// Queries, keys and values are clipped to this absolute value; queries and keys after their norm, where they have one.
    pub qkv_clip: Option<f64>,
    /// The norm of queries and keys.
    pub qk_norm: QkNorm,
    /// Learned scores that attend to nothing.
    pub sinks: AttentionSinks,
    /// The unembedding.
    pub head: Head,
    /// The factor of the logits; 1 in most models.
    pub logit_scale: f64,
    /// Logits `x` become `cap * tanh(x / cap)`.
    pub logit_soft_cap: Option<f64>,
    /// Biases of query, key and value.
    pub qkv_bias: Bias,
    /// Bias of the attention's output.
    pub attn_out_bias: Bias,
    /// Biases of the MLP's maps.
    pub mlp_bias: Bias,
    /// Bias of the unembedding.
    pub head_bias: Bias,
}

impl DecoderConfig {
    /// A decoder with random weights: matrices from N(0, 0.02^2), norms' gains one, biases zero.
    ///
    /// The weights depend on `seed` and the configuration alone: every device gets the same numbers.
    ///
    /// # Errors
    /// When the numbers of the configuration do not fit each other.
    pub fn init(&self, seed: u64, device: &Device) -> Result<Decoder> {
        self.init_with(seed, &LoadOptions::default(), device)
    }

    /// As [`init`](DecoderConfig::init), with options.
    ///
    /// # Errors
    /// As [`init`](DecoderConfig::init); and when the device cannot hold weights in the precision that is asked for.
    pub fn init_with(&self, seed: u64, options: &LoadOptions, device: &Device) -> Result<Decoder> {
        self.validate()?;
        Decoder::build(self, self.n_layers, &mut RandomParams::new(seed), options, device)
    }

    /// The sizes of the model, and the hooks of its blocks: all but `hook_resid_mid` where the sublayers are side by side,
    /// the hooks of `ln2` where one norm serves both, those of `ln1` and `ln2` where norms are only after sublayers, and
    /// those of experts where there are none.
    ///
    /// The neurons of a mixture are those of its experts, one after the other, and the shared expert's. Where layers with and
    /// without a mixture differ in their number, the shape has no `d_mlp`, and `mlp.hook_pre` and `mlp.hook_post` are not
    /// offered.
    pub fn shape(&self) -> ModelShape {
        let shape = ModelShape::new(self.n_layers, self.d_model, self.d_vocab).with_n_ctx(self.n_ctx).with_heads(
            self.n_heads,
            self.n_kv_heads,
            self.d_head,
        );
        let shape = match &self.mlp {
            Mlp::Experts(experts) => {
                let active = experts.n_active_neurons();
                let shape = shape.with_experts(ExpertShape::new(experts.n_experts, experts.n_active, active));
                if experts.dense_layers.is_empty() { shape.with_d_mlp(experts.n_neurons()) } else { shape }
            }
            _ => shape.with_d_mlp(self.d_mlp),
        };
        shape.with_hooks(HookSet::all().minus(self.missing_hooks()))
    }

    fn missing_hooks(&self) -> HookSet {
        let parallel: HookSet = match self.residual {
            Residual::Sequential => HookSet::EMPTY,
            Residual::Parallel => [Hook::ResidMid].into(),
            Residual::ParallelSharedNorm => [Hook::ResidMid, Hook::Ln2Scale, Hook::Ln2Normalized].into(),
        };
        let norms: HookSet = match self.norm_placement {
            NormPlacement::Pre | NormPlacement::Sandwich => HookSet::EMPTY,
            NormPlacement::Post => [Hook::Ln1Scale, Hook::Ln1Normalized, Hook::Ln2Scale, Hook::Ln2Normalized].into(),
        };
        let experts: HookSet = match &self.mlp {
            Mlp::Plain { .. } | Mlp::Gated { .. } => [Hook::ExpertWeights, Hook::ExpertIndices].into(),
            Mlp::Experts(experts) if experts.dense_layers.is_empty() => HookSet::EMPTY,
            Mlp::Experts(_) => [Hook::ExpertWeights, Hook::ExpertIndices, Hook::MlpPre, Hook::MlpPost].into(),
        };
        parallel.union(norms).union(experts)
    }

    /// The same with `layers` in this order; what differs between layers moves with them.
    pub(crate) fn with_layer_order(&self, layers: &[usize]) -> Self {
        let moved =
            |of: &[usize]| -> Vec<usize> { (0..layers.len()).filter(|place| of.contains(&layers[*place])).collect() };
        let mut config = self.clone().with_n_layers(layers.len()).with_unrotated_layers(moved(&self.unrotated_layers));
        config.sliding_window = self.sliding_window.as_ref().and_then(|window| {
            let layers = moved(&window.layers);
            (!layers.is_empty()).then(|| SlidingWindow { layers, ..window.clone() })
        });
        if let Mlp::Experts(experts) = &mut config.mlp {
            experts.dense_layers = moved(&experts.dense_layers);
        }
        config
    }

    /// How far back the attention of `layer` reaches; `None` when it sees everything before it.
    pub(crate) fn window_of(&self, layer: usize) -> Option<usize> {
        self.sliding_window.as_ref().filter(|window| window.layers.contains(&layer)).map(|window| window.size)
    }

    /// The rotary positions of `layer`; `None` when it rotates nothing.
    pub(crate) fn rope_of(&self, layer: usize) -> Option<&Rope> {
        let rope = self.position.rope()?;
        if self.unrotated_layers.contains(&layer) {
            return None;
        }
        let local = self.sliding_window.as_ref().filter(|window| window.layers.contains(&layer));
        Some(local.and_then(|window| window.rope.as_ref()).unwrap_or(rope))
    }

    /// The mixture of `layer`; `None` where it has one MLP.
    pub(crate) fn experts_of(&self, layer: usize) -> Option<&Experts> {
        match &self.mlp {
            Mlp::Experts(experts) if !experts.dense_layers.contains(&layer) => Some(experts),
            _ => None,
        }
    }
}
