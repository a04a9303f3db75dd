//! A [`DecoderConfig`] from its sizes, axis by axis.

use super::{
    Activation, AttentionSinks, Bias, DecoderConfig, EmbedNorm, Head, Mlp, Norm, NormPlacement, Position, QkNorm,
    QueryScaling, Residual, Rope, RopeScaling, SlidingWindow,
};

impl DecoderConfig {
    /// A decoder of Llama's shape: RMSNorm, a gated MLP with SiLU, `4 * d_model` neurons, rotary positions over whole heads
    /// with base 10,000, a key and value head for each query head, heads of `d_model / n_heads`, an unembedding of its own,
    /// no biases, and a context of 2048.
    ///
    /// ```
    /// use stratigraph_models::{Activation, Bias, DecoderConfig, Head, Mlp, Norm, Position};
    /// let gpt2 = DecoderConfig::new(12, 768, 12, 50_257)
    ///     .with_n_ctx(1024)
    ///     .with_norm(Norm::Layer { eps: 1e-5 })
    ///     .with_mlp(Mlp::Plain { activation: Activation::GeluTanh })
    ///     .with_position(Position::Learned)
    ///     .with_head(Head::Tied)
    ///     .with_biases(Bias::Present);
    /// gpt2.validate()?;
    /// assert_eq!((gpt2.d_head, gpt2.d_mlp, gpt2.attn_scale), (64, 3072, 0.125));
    /// # Ok::<(), stratigraph_models::ModelError>(())
    /// ```
    pub fn new(n_layers: usize, d_model: usize, n_heads: usize, d_vocab: usize) -> Self {
        let d_head = d_model / n_heads.max(1);
        Self {
            n_layers,
            d_model,
            n_heads,
            n_kv_heads: n_heads,
            d_head,
            d_mlp: d_model.saturating_mul(4),
            d_vocab,
            n_ctx: 2048,
            embed_scale: 1.0,
            embed_norm: EmbedNorm::Absent,
            norm: Norm::Rms { eps: 1e-5 },
            norm_placement: NormPlacement::Pre,
            residual: Residual::Sequential,
            residual_scale: 1.0,
            mlp: Mlp::Gated { activation: Activation::Silu },
            position: Position::Rotary(Rope { base: 10_000.0, d_rotary: d_head, scaling: RopeScaling::None }),
            unrotated_layers: Vec::new(),
            query_scaling: None,
            sliding_window: None,
            attn_scale: usual_scale(d_head),
            attn_soft_cap: None,
            qkv_clip: None,
            qk_norm: QkNorm::None,
            sinks: AttentionSinks::Absent,
            head: Head::Untied,
            logit_scale: 1.0,
            logit_soft_cap: None,
            qkv_bias: Bias::Absent,
            attn_out_bias: Bias::Absent,
            mlp_bias: Bias::Absent,
            head_bias: Bias::Absent,
        }
    }

    /// With another number of layers. A sliding window keeps its layers.
    pub fn with_n_layers(self, n_layers: usize) -> Self {
        Self { n_layers, ..self }
    }

    /// With a residual stream of another width. Heads and neurons keep their sizes.
    pub fn with_d_model(self, d_model: usize) -> Self {
        Self { d_model, ..self }
    }

    /// With `n_heads` query heads and `n_kv_heads` key and value heads of width `d_head`; attention scores are scaled by
    /// `1 / sqrt(d_head)`. Rotary positions keep their `d_rotary`.
    pub fn with_heads(self, n_heads: usize, n_kv_heads: usize, d_head: usize) -> Self {
        Self { n_heads, n_kv_heads, d_head, attn_scale: usual_scale(d_head), ..self }
    }

    /// With another number of tokens in the vocabulary.
    pub fn with_d_vocab(self, d_vocab: usize) -> Self {
        Self { d_vocab, ..self }
    }

    /// With `d_mlp` neurons in each MLP.
    pub fn with_d_mlp(self, d_mlp: usize) -> Self {
        Self { d_mlp, ..self }
    }

    /// With `n_ctx` as the longest window.
    pub fn with_n_ctx(self, n_ctx: usize) -> Self {
        Self { n_ctx, ..self }
    }

    /// With embeddings multiplied by `embed_scale`.
    pub fn with_embed_scale(self, embed_scale: f64) -> Self {
        Self { embed_scale, ..self }
    }

    /// With another norm.
    pub fn with_norm(self, norm: Norm) -> Self {
        Self { norm, ..self }
    }

    /// With or without a norm of the embedding.
    pub fn with_embed_norm(self, embed_norm: EmbedNorm) -> Self {
        Self { embed_norm, ..self }
    }

    /// With norms before sublayers, after them, or both.
    pub fn with_norm_placement(self, norm_placement: NormPlacement) -> Self {
        Self { norm_placement, ..self }
    }

    /// With sublayers one after the other or side by side.
    pub fn with_residual(self, residual: Residual) -> Self {
        Self { residual, ..self }
    }

    /// With what sublayers add multiplied by `residual_scale`.
    pub fn with_residual_scale(self, residual_scale: f64) -> Self {
        Self { residual_scale, ..self }
    }

    /// With another MLP.
    pub fn with_mlp(self, mlp: Mlp) -> Self {
        Self { mlp, ..self }
    }

    /// With other positions.
    pub fn with_position(self, position: Position) -> Self {
        Self { position, ..self }
    }

    /// With layers without rotary positions.
    pub fn with_unrotated_layers(self, layers: impl Into<Vec<usize>>) -> Self {
        Self { unrotated_layers: layers.into(), ..self }
    }

    /// With queries scaled by their position, or not.
    pub fn with_query_scaling(self, scaling: impl Into<Option<QueryScaling>>) -> Self {
        Self { query_scaling: scaling.into(), ..self }
    }

    /// With a sliding window in some layers, or with none.
    pub fn with_sliding_window(self, window: impl Into<Option<SlidingWindow>>) -> Self {
        Self { sliding_window: window.into(), ..self }
    }

    /// With attention scores multiplied by `attn_scale`.
    pub fn with_attn_scale(self, attn_scale: f64) -> Self {
        Self { attn_scale, ..self }
    }

    /// With a soft cap on attention scores, or without.
    pub fn with_attn_soft_cap(self, cap: impl Into<Option<f64>>) -> Self {
        Self { attn_soft_cap: cap.into(), ..self }
    }

    /// With queries, keys and values clipped to `-clip..clip`, or not.
    pub fn with_qkv_clip(self, clip: impl Into<Option<f64>>) -> Self {
        Self { qkv_clip: clip.into(), ..self }
    }

    /// With or without attention sinks, learned scores that attend to nothing.
    pub fn with_sinks(self, sinks: AttentionSinks) -> Self {
        Self { sinks, ..self }
    }

    /// With logits multiplied by `logit_scale`.
    pub fn with_logit_scale(self, logit_scale: f64) -> Self {
        Self { logit_scale, ..self }
    }

    /// With a soft cap on logits, or without.
    pub fn with_logit_soft_cap(self, cap: impl Into<Option<f64>>) -> Self {
        Self { logit_soft_cap: cap.into(), ..self }
    }

    /// With or without a norm of queries and keys.
    pub fn with_qk_norm(self, qk_norm: QkNorm) -> Self {
        Self { qk_norm, ..self }
    }

    /// With an unembedding of its own, or with the embedding's transpose.
    pub fn with_head(self, head: Head) -> Self {
        Self { head, ..self }
    }

    /// With or without biases of every linear map of the blocks.
    pub fn with_biases(self, bias: Bias) -> Self {
        Self { qkv_bias: bias, attn_out_bias: bias, mlp_bias: bias, ..self }
    }

    /// With or without biases of query, key and value.
    pub fn with_qkv_bias(self, qkv_bias: Bias) -> Self {
        Self { qkv_bias, ..self }
    }

    /// With or without a bias of the attention's output.
    pub fn with_attn_out_bias(self, attn_out_bias: Bias) -> Self {
        Self { attn_out_bias, ..self }
    }

    /// With or without biases of the MLP's maps.
    pub fn with_mlp_bias(self, mlp_bias: Bias) -> Self {
        Self { mlp_bias, ..self }
    }

    /// With or without a bias of the unembedding.
    pub fn with_head_bias(self, head_bias: Bias) -> Self {
        Self { head_bias, ..self }
    }
}

/// `1 / sqrt(d_head)`.
pub(crate) fn usual_scale(d_head: usize) -> f64 {
    (d_head.max(1) as f64).powf(-0.5)
}
