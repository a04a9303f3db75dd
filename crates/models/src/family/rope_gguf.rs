//! Reads rotary positions from the keys and tensors of a GGUF: [`from_gguf`].

use super::keys::{Keys, missing, unsupported};
use super::rope::USUAL_BASE;
use crate::files::{GgufFile, TensorFiles};
use crate::{LongRope, Result, Rope, RopeScaling, Yarn};

/// Llama 3's scaling is stored as a tensor of divisors.
const DIVISORS: &str = "rope_freqs.weight";
/// LongRoPE's divisors.
const SHORT: &str = "rope_factors_short.weight";
const LONG: &str = "rope_factors_long.weight";

/// What YaRN multiplies rotated queries and keys by.
const ATTENTION_FACTOR: &str = "rope.scaling.yarn_attn_factor";

/// The tensors that are read with the configuration.
pub(super) const TENSORS: [&str; 3] = [DIVISORS, SHORT, LONG];

/// Reads the `rope.` keys, and the tensors of divisors.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile, d_head: usize) -> Result<Rope> {
    let base = keys.number_or_none("rope.freq_base")?.unwrap_or(USUAL_BASE);
    let d_rotary = keys.size_or_none("rope.dimension_count")?.unwrap_or(d_head);
    Ok(Rope { base, d_rotary, scaling: scaling(keys, file)? })
}

fn scaling(keys: &mut Keys, file: &GgufFile) -> Result<RopeScaling> {
    const ORIGINAL: &str = "rope.scaling.original_context_length";
    let (kind, factor) = (keys.text_or_none("rope.scaling.type")?, keys.number_or_none("rope.scaling.factor")?);
    let original_n_ctx = keys.size_or_none(ORIGINAL)?;
    let has = |name: &str| file.shape(name).is_some();
    let (divided, long) = (has(DIVISORS), has(LONG));
    match (kind.as_deref(), factor) {
        (None | Some("none"), None) if divided && !long => {
            Ok(RopeScaling::PerFrequency { divisors: divisors(file, DIVISORS)? })
        }
        (None | Some("none" | "longrope"), _) if long && !divided => Ok(RopeScaling::LongRope(LongRope {
            short: divisors(file, SHORT)?,
            long: divisors(file, LONG)?,
            original_n_ctx: original_n_ctx.ok_or_else(|| missing(ORIGINAL))?,
            attention_factor: keys.number("rope.scaling.attn_factor")?,
        })),
        (Some("none"), _) | (None, None) if !divided => Ok(RopeScaling::None),
        (Some("linear"), Some(factor)) | (None, Some(factor)) if !divided => Ok(RopeScaling::Linear { factor }),
        (Some("yarn"), Some(factor)) if !divided => {
            yarn(keys, factor, original_n_ctx.ok_or_else(|| missing(ORIGINAL))?).map(RopeScaling::Yarn)
        }
        (kind, factor) => {
            let value = format!("{kind:?} with factor {factor:?}, {DIVISORS}: {divided}, {LONG}: {long}");
            let reason = "known: none, linear or yarn with a factor, or one kind of these tensors alone";
            Err(unsupported("rope.scaling", value, reason))
        }
    }
}

fn divisors(file: &GgufFile, name: &str) -> Result<Vec<f64>> {
    Ok(file.read_all(name)?.into_iter().map(f64::from).collect())
}

fn yarn(keys: &mut Keys, factor: f64, original_n_ctx: usize) -> Result<Yarn> {
    keys.only("rope.scaling.attn_factor", 1.0)?;
    keys.only("rope.scaling.yarn_ext_factor", 1.0)?;
    let usual = Yarn::new(factor, original_n_ctx);
    // llama.cpp ignores this key and transformers computes with it: only the usual value means the same to both.
    if let Some(given) = keys.number_or_none(ATTENTION_FACTOR)?
        && (given - usual.attention_factor).abs() > 1e-6 * usual.attention_factor
    {
        let reason = format!("only that of the factor {factor} is, {}", usual.attention_factor);
        return Err(unsupported(ATTENTION_FACTOR, given, &reason));
    }
    Ok(Yarn {
        beta_fast: keys.number_or_none("rope.scaling.yarn_beta_fast")?.unwrap_or(usual.beta_fast),
        beta_slow: keys.number_or_none("rope.scaling.yarn_beta_slow")?.unwrap_or(usual.beta_slow),
        ..usual
    })
}
