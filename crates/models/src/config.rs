//! What a decoder is, as data: [`DecoderConfig`] and its axes, each an enum of a real mathematical difference.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::param::RandomParams;
use crate::{Decoder, ModelError, Result};

/// The norm before each sublayer and before the unembedding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Norm {
    /// `x / sqrt(mean(x^2) + eps) * gain`.
    Rms {
        /// What keeps the division from zero.
        eps: f64,
    },
}

/// The nonlinearity of the MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Activation {
    /// `x * sigmoid(x)`, also called swish.
    Silu,
}

/// The shape of the MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Mlp {
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
        /// Wavelengths above `original_n_ctx / low_freq_factor` are divided whole.
        low_freq_factor: f64,
        /// Wavelengths below `original_n_ctx / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// The context the model was first trained with.
        original_n_ctx: usize,
    },
    /// Each frequency divided by its own number, as GGUF files store it; `d_head / 2` of them.
    PerFrequency {
        /// The divisors, from the highest frequency to the lowest.
        divisors: Vec<f64>,
    },
}

/// How a token's position enters the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Position {
    /// Query and key are rotated, the first half of a head against the second, by `position * base^(-2i / d_head)`.
    Rotary {
        /// The base of the frequencies.
        base: f64,
        /// How they are stretched.
        scaling: RopeScaling,
    },
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
    /// It does not.
    Absent,
    /// It does.
    Present,
}

impl From<bool> for Bias {
    fn from(present: bool) -> Self {
        if present { Bias::Present } else { Bias::Absent }
    }
}

/// The whole shape of a decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The norm.
    pub norm: Norm,
    /// The MLP.
    pub mlp: Mlp,
    /// Positions.
    pub position: Position,
    /// The unembedding.
    pub head: Head,
    /// Biases of query, key and value.
    pub qkv_bias: Bias,
    /// Bias of the attention's output.
    pub attn_out_bias: Bias,
    /// Biases of the MLP's maps.
    pub mlp_bias: Bias,
}

impl DecoderConfig {
    /// A decoder with random weights: matrices from N(0, 0.02^2), norms' gains one, biases zero.
    ///
    /// The weights depend on `seed` and the configuration alone: every device gets the same numbers.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn init(&self, seed: u64, device: &Device) -> Result<Decoder> {
        self.validate()?;
        Decoder::build(self, &mut RandomParams::new(seed), &Default::default(), device)
    }

    /// Checks that the numbers fit each other.
    ///
    /// # Errors
    /// [`ModelError::UnsupportedValue`] with the first that does not.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("n_layers", self.n_layers),
            ("d_model", self.d_model),
            ("n_heads", self.n_heads),
            ("n_kv_heads", self.n_kv_heads),
            ("d_head", self.d_head),
            ("d_mlp", self.d_mlp),
            ("d_vocab", self.d_vocab),
            ("n_ctx", self.n_ctx),
        ];
        for (key, value) in sizes {
            // A tensor has at most two of these as axes; i32 token ids and positions bound each of them.
            if value == 0 || value > i32::MAX as usize {
                return unsupported(key, value, "it must be a positive 31-bit number");
            }
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return unsupported(
                "n_kv_heads",
                self.n_kv_heads,
                format!("it does not divide n_heads = {}", self.n_heads),
            );
        }
        let Norm::Rms { eps } = self.norm;
        if !(eps > 0.0 && eps.is_finite()) {
            return unsupported("norm eps", eps, "it must be positive");
        }
        self.validate_position()
    }

    fn validate_position(&self) -> Result<()> {
        let Position::Rotary { base, scaling } = &self.position;
        if !self.d_head.is_multiple_of(2) {
            return unsupported("d_head", self.d_head, "rotary positions need an even number");
        }
        if !(*base > 0.0 && base.is_finite()) {
            return unsupported("rope base", base, "it must be positive");
        }
        let positive = match scaling {
            RopeScaling::None => true,
            RopeScaling::Linear { factor } => *factor > 0.0,
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_n_ctx } => {
                *factor > 0.0 && *low_freq_factor > 0.0 && high_freq_factor > low_freq_factor && *original_n_ctx > 0
            }
            RopeScaling::PerFrequency { divisors } => {
                if divisors.len() != self.d_head / 2 {
                    return unsupported("rope divisors", divisors.len(), "there must be d_head / 2 of them");
                }
                divisors.iter().all(|divisor| *divisor > 0.0)
            }
        };
        if positive {
            Ok(())
        } else {
            unsupported("rope scaling", format!("{scaling:?}"), "its numbers must be positive")
        }
    }
}

fn unsupported<T>(key: &str, value: impl ToString, reason: impl ToString) -> Result<T> {
    Err(ModelError::UnsupportedValue { key: key.to_owned(), value: value.to_string(), reason: reason.to_string() })
}
