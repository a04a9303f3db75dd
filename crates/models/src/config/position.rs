//! How positions enter a model: [`Position`], [`Rope`] with its [`RopeScaling`], [`SlidingWindow`], [`QueryScaling`].

use serde::{Deserialize, Serialize};

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
    /// A larger base for windows longer than `n_ctx`, and none for the others; since no window is longer, not at all.
    Dynamic {
        /// By how much the context may grow.
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
    /// YaRN (Peng et al., arXiv 2309.00071): long wavelengths divided by `factor`, short ones kept, those between
    /// interpolated by their place in the list of frequencies.
    Yarn(Yarn),
    /// LongRoPE (Ding et al., arXiv 2402.13753): each frequency divided by a number of its own, from one list for windows of
    /// up to `original_n_ctx` tokens and from another for longer ones.
    LongRope(LongRope),
    /// Each frequency divided by its own number, as GGUF files store it; `d_rotary / 2` of them.
    PerFrequency {
        /// The divisors, from the highest frequency to the lowest.
        divisors: Vec<f64>,
    },
}

impl RopeScaling {
    /// The context the model was first trained with, where the scaling depends on it.
    pub(crate) fn original_n_ctx(&self) -> Option<usize> {
        match self {
            RopeScaling::Llama3 { original_n_ctx, .. }
            | RopeScaling::Yarn(Yarn { original_n_ctx, .. })
            | RopeScaling::LongRope(LongRope { original_n_ctx, .. }) => Some(*original_n_ctx),
            RopeScaling::None
            | RopeScaling::Linear { .. }
            | RopeScaling::Dynamic { .. }
            | RopeScaling::PerFrequency { .. } => None,
        }
    }
}

/// The numbers of [`RopeScaling::Yarn`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Yarn {
    /// The divisor of long wavelengths.
    pub factor: f64,
    /// The context the model was first trained with.
    pub original_n_ctx: usize,
    /// Frequencies that turn this often in the original context are kept; 32 in most models.
    pub beta_fast: f64,
    /// Frequencies that turn this often are divided by the whole factor; 1 in most models.
    pub beta_slow: f64,
    /// What rotated queries and keys are multiplied by.
    pub attention_factor: f64,
    /// Whether the places between which frequencies are interpolated are rounded outwards to whole numbers.
    pub truncate: bool,
}

impl Yarn {
    /// YaRN with the paper's numbers: between 1 and 32 turns, and `0.1 ln(factor) + 1` for rotated queries and keys.
    pub fn new(factor: f64, original_n_ctx: usize) -> Self {
        let attention_factor = Self::attention_factor_of(factor, 1.0);
        Self { factor, original_n_ctx, beta_fast: 32.0, beta_slow: 1.0, attention_factor, truncate: true }
    }

    /// `0.1 scale ln(factor) + 1`, or 1 where nothing is divided; the paper's `scale` is 1.
    pub(crate) fn attention_factor_of(factor: f64, scale: f64) -> f64 {
        if factor > 1.0 { 0.1 * scale * factor.ln() + 1.0 } else { 1.0 }
    }
}

/// The numbers of [`RopeScaling::LongRope`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LongRope {
    /// The divisors in windows of up to `original_n_ctx` tokens, `d_rotary / 2` of them.
    pub short: Vec<f64>,
    /// The divisors in longer windows.
    pub long: Vec<f64>,
    /// The context the model was first trained with.
    pub original_n_ctx: usize,
    /// What rotated queries and keys are multiplied by, whatever the window.
    pub attention_factor: f64,
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
    /// Scores fall with the distance of query and key, by a slope for each head (ALiBi, Press et al., arXiv 2108.12409).
    Alibi,
    /// ALiBi as Falcon RW computes it: scores rise with the position of the key, by the slope times the position in
    /// bfloat16, which is added to the products of queries and keys before both are multiplied by `attn_scale`.
    FalconAlibi,
}

impl Position {
    /// The rotary positions; none where positions enter in another way.
    pub(crate) fn rope(&self) -> Option<&Rope> {
        match self {
            Position::Rotary(rope) => Some(rope),
            Position::Learned | Position::Alibi | Position::FalconAlibi => None,
        }
    }
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

/// Queries multiplied by `1 + beta * ln(1 + floor(position / original_n_ctx))`, as in Ministral 3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QueryScaling {
    /// The weight of the logarithm.
    pub beta: f64,
    /// The context below which queries are kept.
    pub original_n_ctx: usize,
}
