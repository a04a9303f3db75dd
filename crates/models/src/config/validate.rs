//! Whether the numbers of a [`DecoderConfig`] fit each other.

use super::{DecoderConfig, Position, Rope, RopeScaling, SlidingWindow};
use crate::{ModelError, Result};

/// More layers than any decoder has; a larger number is a damaged file's.
pub(crate) const MOST_LAYERS: usize = 1 << 16;

impl DecoderConfig {
    /// Checks that the numbers fit each other.
    ///
    /// # Errors
    /// [`ModelError::UnsupportedValue`] with the first that does not.
    pub fn validate(&self) -> Result<()> {
        self.validate_sizes()?;
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            let reason = format!("it does not divide n_heads = {}", self.n_heads);
            return unsupported("n_kv_heads", self.n_kv_heads, reason);
        }
        for (key, value) in
            [("norm eps", self.norm.eps()), ("attn_scale", self.attn_scale), ("embed_scale", self.embed_scale)]
        {
            if !(value > 0.0 && value.is_finite()) {
                return unsupported(key, value, "it must be positive");
            }
        }
        if let Position::Rotary(rope) = &self.position {
            self.validate_rope(rope)?;
        }
        self.sliding_window.as_ref().map_or(Ok(()), |window| self.validate_window(window))
    }

    fn validate_sizes(&self) -> Result<()> {
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
        if self.n_layers > MOST_LAYERS {
            return unsupported("n_layers", self.n_layers, format!("at most {MOST_LAYERS} are"));
        }
        // A tensor has at most two of these as axes; i32 token ids and positions bound each of them.
        match sizes.into_iter().find(|(_, value)| *value == 0 || *value > i32::MAX as usize) {
            Some((key, value)) => unsupported(key, value, "it must be a positive 31-bit number"),
            None => Ok(()),
        }
    }

    fn validate_rope(&self, rope: &Rope) -> Result<()> {
        let Rope { base, d_rotary, scaling } = rope;
        if *d_rotary == 0 || !d_rotary.is_multiple_of(2) || *d_rotary > self.d_head {
            let reason = format!("rotary positions need an even number up to d_head = {}", self.d_head);
            return unsupported("d_rotary", d_rotary, reason);
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
                if divisors.len() != d_rotary / 2 {
                    return unsupported("rope divisors", divisors.len(), "there must be d_rotary / 2 of them");
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

    fn validate_window(&self, window: &SlidingWindow) -> Result<()> {
        if window.size == 0 {
            return unsupported("sliding window", 0, "a query must see itself");
        }
        let rising = window.layers.is_sorted_by(|a, b| a < b);
        if !rising || window.layers.last().is_none_or(|last| *last >= self.n_layers) {
            let reason = format!("they must be some of the {} layers, in rising order", self.n_layers);
            return unsupported("sliding window layers", format!("{:?}", window.layers), reason);
        }
        match (&window.rope, &self.position) {
            (None, _) => Ok(()),
            (Some(rope), Position::Rotary(_)) => self.validate_rope(rope),
            (Some(_), Position::Learned) => {
                unsupported("sliding window rope", "(set)", "positions of the other layers are learned")
            }
        }
    }
}

fn unsupported<T>(key: &str, value: impl ToString, reason: impl ToString) -> Result<T> {
    Err(ModelError::UnsupportedValue { key: key.to_owned(), value: value.to_string(), reason: reason.to_string() })
}
