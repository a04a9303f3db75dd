//! What a lens reads in a prompt: [`LensGrid`] of [`LensCell`]s.

use serde::{Deserialize, Serialize};

/// What one lens reads at each residual position after each token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LensGrid {
    /// The name of the lens, with which the names of its curves begin: `lens`, `affine_lens`.
    pub name: String,
    /// What a reader calls it.
    pub title: String,
    /// What it was fitted on, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// `[residual position][position]`: before each layer, and after the last one, where every lens is the model itself. A row is
    /// empty where the lens has no map.
    pub rows: Vec<Vec<LensCell>>,
}

impl LensGrid {
    /// Of these rows, `[residual position][position]`.
    pub fn new(name: impl Into<String>, title: impl Into<String>, rows: Vec<Vec<LensCell>>) -> Self {
        Self { name: name.into(), title: title.into(), origin: None, rows }
    }

    /// Says what the lens was fitted on.
    pub fn with_origin(self, origin: Option<String>) -> Self {
        Self { origin, ..self }
    }

    /// What the model itself predicts after each token: the last row.
    pub fn output(&self) -> &[LensCell] {
        self.rows.last().map_or(&[], Vec::as_slice)
    }
}

/// What a lens reads at one residual position after one token. `output_...` are of the token that the model itself finds most
/// likely there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LensCell {
    /// The most likely tokens, the most likely first.
    pub top: Vec<LikelyToken>,
    /// The entropy of the distribution, in bits.
    pub entropy_bits: f64,
    /// The KL divergence from the model's output, in nats.
    pub kl: f64,
    /// The loss of the next token, in nats; none at the last position.
    pub nll: Option<f64>,
    /// The rank of the output's most likely token, from 1.
    pub output_rank: u64,
    /// The probability of the output's most likely token.
    pub output_probability: f64,
}

/// A token and how likely it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LikelyToken {
    /// The token.
    pub id: u32,
    /// Its probability.
    pub probability: f64,
}

impl LikelyToken {
    /// A token with its probability.
    pub fn new(id: u32, probability: f64) -> Self {
        Self { id, probability }
    }
}

impl LensCell {
    /// Of the most likely tokens, the most likely first; the first one is taken as the output's until
    /// [`with_output`](Self::with_output) says otherwise.
    pub fn new(top: Vec<LikelyToken>) -> Self {
        let output_probability = top.first().map_or(0.0, |token| token.probability);
        Self { top, entropy_bits: 0.0, kl: 0.0, nll: None, output_rank: 1, output_probability }
    }

    /// With the entropy, in bits.
    pub fn with_entropy_bits(self, entropy_bits: f64) -> Self {
        Self { entropy_bits, ..self }
    }

    /// With the divergence from the output, in nats.
    pub fn with_kl(self, kl: f64) -> Self {
        Self { kl, ..self }
    }

    /// With the loss of the next token, in nats.
    pub fn with_nll(self, nll: Option<f64>) -> Self {
        Self { nll, ..self }
    }

    /// With the rank (from 1) and the probability of the output's most likely token.
    pub fn with_output(self, output_rank: u64, output_probability: f64) -> Self {
        Self { output_rank, output_probability, ..self }
    }

    /// The most likely token.
    pub fn most_likely(&self) -> Option<LikelyToken> {
        self.top.first().copied()
    }
}
