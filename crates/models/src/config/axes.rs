//! The axes along which decoders differ, each an enum of a real mathematical difference.

use serde::{Deserialize, Serialize};

/// The norm before each sublayer and before the unembedding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Norm {
    /// `(x - mean(x)) / sqrt(var(x) + eps) * gain + bias`, with the population variance.
    Layer {
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
            Norm::Layer { eps } | Norm::Rms { eps } => eps,
        }
    }
}

/// Whether the output of a sublayer is normed before it is added to the residual stream, as in Gemma.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PostNorm {
    /// No norm.
    Absent,
    /// A norm, with separate gains for attention and MLP.
    Present,
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

/// The nonlinearity of the MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Activation {
    /// `x * sigmoid(x)`, also called swish.
    Silu,
    /// `x * Phi(x)`, with the normal distribution function.
    Gelu,
    /// The approximation of GELU by a hyperbolic tangent: `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// The shape of the MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Mlp {
    /// `down(activation(up(x)))`.
    Plain {
        /// Applied to the neurons.
        activation: Activation,
    },
    /// `down(activation(gate(x)) * up(x))`.
    Gated {
        /// Applied to the gate.
        activation: Activation,
    },
}

/// How rotary frequencies are stretched for long contexts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Every frequency divided by the same factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3's rule: long wavelengths divided by `factor`, short ones kept, those between interpolated.
    Llama3 {
        /// The divisor of long wavelengths.
        factor: f64,
        /// Wavelengths above `original_n_ctx / low_freq_factor` are divided by the whole factor.
        low_freq_factor: f64,
        /// Wavelengths below `original_n_ctx / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// The context the model was first trained with.
        original_n_ctx: usize,
    },
    /// Each frequency divided by its own number, as GGUF files store it; `d_rotary / 2` of them.
    PerFrequency {
        /// The divisors, from the highest frequency to the lowest.
        divisors: Vec<f64>,
    },
}

/// Rotary positions: of the first `d_rotary` numbers of a query's or key's head, the first half is rotated against the
/// second by `position * base^(-2i / d_rotary)`; the rest of the head stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rope {
    /// The base of the frequencies.
    pub base: f64,
    /// How many numbers of a head are rotated.
    pub d_rotary: usize,
    /// How the frequencies are stretched.
    pub scaling: RopeScaling,
}

/// How a token's position enters the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Position {
    /// A learned vector for each position is added to the embedding.
    Learned,
    /// Queries and keys are rotated.
    Rotary(Rope),
}

/// Layers whose attention reaches back over a limited number of tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlidingWindow {
    /// A query sees itself and the `size - 1` tokens before it.
    pub size: usize,
    /// The layers that have the window, in rising order; the others see everything before them.
    pub layers: Vec<usize>,
    /// Rotary positions of these layers, where they differ from the others'.
    pub rope: Option<Rope>,
}

/// Whether each head's query and key are normed before they are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum QkNorm {
    /// No norm.
    Absent,
    /// A norm of the model's kind over `d_head`, with gains shared by all heads.
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
