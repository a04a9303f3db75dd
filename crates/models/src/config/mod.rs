//! The configuration of a decoder: [`DecoderConfig`] and its axes.

mod axes;
mod builder;
mod validate;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use stratigraph_core::{Hook, HookSet, ModelShape};

pub use self::axes::{
    Activation, Bias, Head, Mlp, Norm, Position, PostNorm, QkNorm, Residual, Rope, RopeScaling, SlidingWindow,
};
pub(crate) use self::builder::usual_scale;
pub(crate) use self::validate::MOST_LAYERS;
use crate::param::RandomParams;
use crate::{Decoder, Result};

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
    /// Key and value heads; each serves `n_heads / n_kv_heads` query heads.
    pub n_kv_heads: usize,
    /// Width of a head, which need not be `d_model / n_heads`.
    pub d_head: usize,
    /// Neurons of an MLP.
    pub d_mlp: usize,
    /// Tokens in the vocabulary.
    pub d_vocab: usize,
    /// The longest window.
    pub n_ctx: usize,
    /// The factor of the embeddings; 1 in most models.
    pub embed_scale: f64,
    /// The norm.
    pub norm: Norm,
    /// The norm of the sublayers' outputs.
    pub post_norm: PostNorm,
    /// How attention and MLP read the residual stream.
    pub residual: Residual,
    /// The MLP.
    pub mlp: Mlp,
    /// Positions.
    pub position: Position,
    /// Layers with a sliding window; `None` when there are none.
    pub sliding_window: Option<SlidingWindow>,
    /// The factor of the products of queries and keys; `1 / sqrt(d_head)` in most models.
    pub attn_scale: f64,
    /// The norm of queries and keys.
    pub qk_norm: QkNorm,
    /// The unembedding.
    pub head: Head,
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
        self.validate()?;
        Decoder::build(self, self.n_layers, &mut RandomParams::new(seed), &Default::default(), device)
    }

    /// The sizes of the model, and the hooks of its blocks: all but `hook_resid_mid` where the sublayers are side by side,
    /// and the hooks of `ln2` where one norm serves both.
    pub fn shape(&self) -> ModelShape {
        let hooks = match self.residual {
            Residual::Sequential => HookSet::all(),
            Residual::Parallel => HookSet::all().without(Hook::ResidMid),
            Residual::ParallelSharedNorm => {
                [Hook::ResidMid, Hook::Ln2Scale, Hook::Ln2Normalized].into_iter().fold(HookSet::all(), HookSet::without)
            }
        };
        ModelShape::new(self.n_layers, self.d_model, self.d_vocab)
            .with_n_ctx(self.n_ctx)
            .with_heads(self.n_heads, self.n_kv_heads, self.d_head)
            .with_d_mlp(self.d_mlp)
            .with_hooks(hooks)
    }

    /// How far back the attention of `layer` reaches; `None` when it sees everything before it.
    pub(crate) fn window_of(&self, layer: usize) -> Option<usize> {
        self.sliding_window.as_ref().filter(|window| window.layers.contains(&layer)).map(|window| window.size)
    }

    /// The rotary positions of `layer`; `None` when positions are learned.
    pub(crate) fn rope_of(&self, layer: usize) -> Option<&Rope> {
        let Position::Rotary(rope) = &self.position else { return None };
        let local = self.sliding_window.as_ref().filter(|window| window.layers.contains(&layer));
        Some(local.and_then(|window| window.rope.as_ref()).unwrap_or(rope))
    }
}
