//! The names of a decoder's parameters, and where their values come from: [`Param`], [`ParamSource`], [`RandomParams`].
//!
//! Building a decoder asks a source for each parameter in our own layout. A checkpoint is one source, a seeded random
//! generator another.

use std::ops::Range;

use stratigraph_core::SplitMix64;

use crate::Result;

/// The role of a parameter in the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// `W_E`, `[d_vocab, d_model]`.
    Embed,
    /// The norm of the embedding.
    EmbedNorm,
    /// Learned positions, `[n_ctx, d_model]`.
    PosEmbed,
    /// The norm before the unembedding.
    FinalNorm,
    /// `W_U` transposed, `[d_vocab, d_model]`.
    Unembed,
    /// The norm before attention.
    AttnNorm,
    /// Queries, `[d_model, n_heads * d_head]`.
    Query,
    /// Keys, `[d_model, n_kv_heads * d_head]`.
    Key,
    /// Values, `[d_model, n_kv_heads * d_head]`.
    Value,
    /// The norm of queries.
    QueryNorm,
    /// The norm of keys.
    KeyNorm,
    /// The norm of one head's queries.
    HeadQueryNorm(u32),
    /// The norm of one head's keys.
    HeadKeyNorm(u32),
    /// A score for each head that attends to nothing, `[n_heads]`.
    Sinks,
    /// Attention's output, `[n_heads * d_head, d_model]`.
    AttnOut,
    /// The norm after attention.
    AttnPostNorm,
    /// The norm before the MLP.
    MlpNorm,
    /// The gate of an MLP, `[d_model, d_mlp]`.
    Gate,
    /// What enters the neurons, or what their gate is multiplied by, `[d_model, d_mlp]`.
    Up,
    /// What neurons write, `[d_mlp, d_model]`.
    Down,
    /// Scores of experts, `[d_model, n_experts]`.
    Router,
    /// The gate of an expert.
    ExpertGate(u32),
    /// What the gate of an expert is multiplied by.
    ExpertUp(u32),
    /// What the neurons of an expert write.
    ExpertDown(u32),
    /// The gate of the shared expert.
    SharedGate,
    /// What the gate of the shared expert is multiplied by.
    SharedUp,
    /// What the neurons of the shared expert write.
    SharedDown,
    /// What the shared expert is multiplied by, before a sigmoid, `[d_model, 1]`.
    SharedWeight,
    /// The norm after the MLP.
    MlpPostNorm,
}

impl Part {
    /// Whether the part is a norm, whose weight is a gain.
    pub(crate) fn is_norm(self) -> bool {
        use Part::*;
        matches!(
            self,
            EmbedNorm
                | FinalNorm
                | AttnNorm
                | QueryNorm
                | KeyNorm
                | HeadQueryNorm(_)
                | HeadKeyNorm(_)
                | AttnPostNorm
                | MlpNorm
                | MlpPostNorm
        )
    }
}

/// A gain or matrix, or the vector added after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A gain, or a matrix.
    Weight,
    /// The vector added after it.
    Bias,
}

/// One parameter of a decoder: a part of layer `layer`, or of the model as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Param {
    /// The layer; none for a parameter of the model as a whole.
    pub layer: Option<usize>,
    /// Its role.
    pub part: Part,
    /// Weight or bias.
    pub kind: Kind,
}

/// Gives the values of parameters, each once, in the layout of this crate: matrices `[d_in, d_out]`, embedding and
/// unembedding `[d_vocab, d_model]`, learned positions `[n_ctx, d_model]`.
pub(crate) trait ParamSource {
    /// The values of `param` in row-major order; `shape` is what the decoder needs.
    fn values(&mut self, param: Param, shape: &[usize]) -> Result<Vec<f32>>;

    /// Some rows of a matrix of `shape` over the vocabulary; they are asked for from the first on, in order.
    fn rows(&mut self, param: Param, shape: [usize; 2], rows: Range<usize>) -> Result<Vec<f32>>;
}

/// Seeded normal weights; norms' gains are one, biases zero.
pub(crate) struct RandomParams {
    random: SplitMix64,
}

impl RandomParams {
    const STD: f64 = 0.02;

    pub(crate) fn new(seed: u64) -> Self {
        Self { random: SplitMix64::new(seed) }
    }
}

impl ParamSource for RandomParams {
    fn values(&mut self, param: Param, shape: &[usize]) -> Result<Vec<f32>> {
        let n = shape.iter().product();
        Ok(match param.kind {
            Kind::Bias => vec![0.0; n],
            Kind::Weight if param.part.is_norm() => vec![1.0; n],
            Kind::Weight => (0..n).map(|_| (Self::STD * self.random.normal()) as f32).collect(),
        })
    }

    fn rows(&mut self, param: Param, [_, width]: [usize; 2], rows: Range<usize>) -> Result<Vec<f32>> {
        self.values(param, &[rows.len(), width])
    }
}
