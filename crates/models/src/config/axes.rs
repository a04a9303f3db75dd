//! The axes along which decoders differ, each an enum of a real mathematical difference.

use serde::{Deserialize, Serialize};

/// The norm of sublayers and of the unembedding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Norm {
    /// `(x - mean(x)) / sqrt(var(x) + eps) * gain + bias`, with the population variance.
    Layer {
        /// Added under the root, against division by zero.
        eps: f64,
    },
    /// As `Layer`, without the bias.
    LayerWithoutBias {
        /// Added under the root, against division by zero.
        eps: f64,
    },
    /// As `Layer`, without gain and bias.
    LayerWithoutWeights {
        /// Added under the root, against division by zero.
        eps: f64,
    },
    /// `x / sqrt(mean(x^2) + eps) * gain`.
    Rms {
        /// Added under the root, against division by zero.
        eps: f64,
    },
}

impl Norm {
    /// The number under the root that prevents division by zero.
    pub fn eps(self) -> f64 {
        match self {
            Norm::Layer { eps }
            | Norm::LayerWithoutBias { eps }
            | Norm::LayerWithoutWeights { eps }
            | Norm::Rms { eps } => eps,
        }
    }
}

/// Where the norms of a block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NormPlacement {
    /// Before each sublayer: `h + sublayer(norm(h))`.
    Pre,
    /// Before each sublayer and after it, with separate gains: `h + norm'(sublayer(norm(h)))`, as in Gemma 2.
    Sandwich,
    /// Only after each sublayer: `h + norm(sublayer(h))`, as in OLMo 2.
    Post,
}

/// How the two sublayers of a block read the residual stream `h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Residual {
    /// One after the other: `mid = h + attention(norm(h))`, then `mid + mlp(norm(mid))`.
    Sequential,
    /// Side by side, each with a norm of its own: `h + attention(norm(h)) + mlp(norm'(h))`.
    Parallel,
    /// Side by side, with one norm for both: `h + attention(norm(h)) + mlp(norm(h))`.
    ParallelSharedNorm,
}

/// Whether queries and keys are normed before they are rotated. The norm is of the model's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum QkNorm {
    /// No norm.
    None,
    /// A norm over `d_head`, with weights shared by all heads, as in Qwen3.
    PerHead,
    /// A norm over `d_head`, with separate gains for each head and no bias; only LayerNorm, as in StableLM 2 12B.
    EachHead,
    /// A norm over all heads together, as in OLMo 2.
    FullWidth,
}

/// Whether each head has an attention sink: a learned score in the softmax that attends to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AttentionSinks {
    /// No such score: the attention of a query sums to one.
    Absent,
    /// One score a head: the attention of a query sums to less than one, as in gpt-oss.
    Present,
}

/// Whether the embedding is normed before it enters the residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EmbedNorm {
    /// No norm.
    Absent,
    /// A norm of the model's kind, as in BLOOM.
    Present,
}

/// Whether unembedding is the embedding's transpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Head {
    /// `W_U` is `W_E` transposed.
    Tied,
    /// `W_U` has weights of its own.
    Untied,
}

/// Whether a linear map adds a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bias {
    /// No bias.
    Absent,
    /// A bias.
    Present,
}

impl From<bool> for Bias {
    fn from(present: bool) -> Self {
        if present { Bias::Present } else { Bias::Absent }
    }
}
