//! Whether the numbers of a [`DecoderConfig`] fit each other.

use super::{
    Activation, DecoderConfig, Experts, LongRope, Mlp, Norm, NormPlacement, QkNorm, Residual, Rope, RopeScaling,
    SlidingWindow, Yarn,
};
use crate::{ModelError, Result};

/// More layers than any decoder has; a larger number means a damaged file.
pub(crate) const MOST_LAYERS: usize = 1 << 16;
/// More experts than any layer has.
const MOST_EXPERTS: usize = 1 << 16;

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
        self.validate_numbers()?;
        self.validate_axes()?;
        if let Some(rope) = self.position.rope() {
            self.validate_rope(rope)?;
        }
        self.validate_layers("unrotated layers", &self.unrotated_layers)?;
        if let Mlp::Experts(experts) = &self.mlp {
            self.validate_experts(experts)?;
        }
        self.sliding_window.as_ref().map_or(Ok(()), |window| self.validate_window(window))
    }

    /// Factors and caps, which must be positive.
    fn validate_numbers(&self) -> Result<()> {
        let factors = [
            ("norm eps", self.norm.eps()),
            ("attn_scale", self.attn_scale),
            ("embed_scale", self.embed_scale),
            ("residual_scale", self.residual_scale),
            ("logit_scale", self.logit_scale),
        ];
        let limits = [
            ("attn_soft_cap", self.attn_soft_cap),
            ("logit_soft_cap", self.logit_soft_cap),
            ("qkv_clip", self.qkv_clip),
            ("query scaling", self.query_scaling.map(|scaling| scaling.beta)),
        ];
        let limits = limits.into_iter().filter_map(|(key, value)| Some((key, value?)));
        match factors.into_iter().chain(limits).find(|(_, value)| !(*value > 0.0 && value.is_finite())) {
            Some((key, value)) => unsupported(key, value, "it must be positive"),
            None if self.query_scaling.is_some_and(|scaling| scaling.original_n_ctx == 0) => {
                unsupported("query scaling", 0, "its context must be positive")
            }
            None => Ok(()),
        }
    }

    /// Combinations of axes that make no sense.
    fn validate_axes(&self) -> Result<()> {
        let is_rms = matches!(self.norm, Norm::Rms { .. });
        if self.qk_norm == QkNorm::EachHead && is_rms {
            return unsupported("qk_norm", "each head", "norms with gains for each head are LayerNorms");
        }
        if self.norm_placement != NormPlacement::Pre && self.residual == Residual::ParallelSharedNorm {
            let placement = format!("{:?}", self.norm_placement);
            return unsupported("norm_placement", placement, "a norm that both sublayers share stands before them");
        }
        match (&self.mlp, self.mlp.activation()) {
            (Mlp::Plain { .. }, Activation::ClampedSwish { .. }) => {
                unsupported("activation", "clamped swish", "it needs a gate")
            }
            (_, Activation::ClampedSwish { alpha, limit }) if !(alpha > 0.0 && limit > 0.0) => {
                unsupported("clamped swish", format!("{alpha}, {limit}"), "its numbers must be positive")
            }
            _ => Ok(()),
        }
    }

    fn validate_experts(&self, experts: &Experts) -> Result<()> {
        let Experts { n_experts, n_active, d_expert, .. } = *experts;
        if n_active == 0 || n_active > n_experts || n_experts > MOST_EXPERTS {
            let value = format!("{n_active} of {n_experts}");
            return unsupported("experts", value, format!("at least 1 of at most {MOST_EXPERTS} are used"));
        }
        if d_expert == 0 || experts.d_shared == Some(0) || experts.n_neurons() > i32::MAX as usize {
            let value = format!("{n_experts} of {d_expert}, shared {:?}", experts.d_shared);
            return unsupported("neurons of experts", value, "they must be a positive 31-bit number in all");
        }
        self.validate_layers("dense layers", &experts.dense_layers)
    }

    /// Layers of the model, in rising order.
    fn validate_layers(&self, key: &str, layers: &[usize]) -> Result<()> {
        if layers.is_sorted_by(|a, b| a < b) && layers.last().is_none_or(|last| *last < self.n_layers) {
            return Ok(());
        }
        let reason = format!("they must be some of the {} layers, in rising order", self.n_layers);
        unsupported(key, format!("{layers:?}"), reason)
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
            RopeScaling::Linear { factor } | RopeScaling::Dynamic { factor } => *factor > 0.0,
            RopeScaling::Yarn(yarn) => yarn.is_valid() && *base != 1.0,
            RopeScaling::LongRope(LongRope { short, long, original_n_ctx, attention_factor }) => {
                self.validate_divisors(short, *d_rotary)?;
                self.validate_divisors(long, *d_rotary)?;
                *original_n_ctx > 0 && *attention_factor > 0.0
            }
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_n_ctx } => {
                *factor > 0.0 && *low_freq_factor > 0.0 && high_freq_factor > low_freq_factor && *original_n_ctx > 0
            }
            RopeScaling::PerFrequency { divisors } => {
                self.validate_divisors(divisors, *d_rotary)?;
                true
            }
        };
        if positive {
            Ok(())
        } else {
            unsupported("rope scaling", format!("{scaling:?}"), "its numbers must be positive")
        }
    }

    fn validate_divisors(&self, divisors: &[f64], d_rotary: usize) -> Result<()> {
        if divisors.len() != d_rotary / 2 {
            return unsupported("rope divisors", divisors.len(), "there must be d_rotary / 2 of them");
        }
        match divisors.iter().find(|divisor| !(**divisor > 0.0 && divisor.is_finite())) {
            Some(divisor) => unsupported("rope divisors", divisor, "they must be positive"),
            None => Ok(()),
        }
    }

    fn validate_window(&self, window: &SlidingWindow) -> Result<()> {
        if window.size == 0 {
            return unsupported("sliding window", 0, "a query must see itself");
        }
        self.validate_layers("sliding window layers", &window.layers)?;
        match (&window.rope, self.position.rope()) {
            (None, _) => Ok(()),
            (Some(rope), Some(_)) => self.validate_rope(rope),
            (Some(_), None) => {
                unsupported("sliding window rope", "(set)", "positions of the other layers are not rotary")
            }
        }
    }
}

impl Yarn {
    fn is_valid(&self) -> bool {
        let Self { factor, original_n_ctx, beta_fast, beta_slow, attention_factor, .. } = *self;
        let positive = [factor, beta_slow, attention_factor].into_iter().all(|x| x > 0.0 && x.is_finite());
        positive && beta_fast >= beta_slow && beta_fast.is_finite() && original_n_ctx > 0
    }
}

fn unsupported<T>(key: &str, value: impl ToString, reason: impl ToString) -> Result<T> {
    Err(ModelError::UnsupportedValue { key: key.to_owned(), value: value.to_string(), reason: reason.to_string() })
}
