//! Reads rotary positions from a configuration: [`from_hf`], [`from_gguf`].

use super::keys::{Keys, unsupported};
use crate::files::{GgufFile, TensorFiles};
use crate::{Result, Rope, RopeScaling};

/// transformers' default for the base.
pub(super) const USUAL_BASE: f64 = 10_000.0;

/// Reads `rope_parameters`, or the older `rope_theta` and `rope_scaling`.
pub(super) fn from_hf(keys: &mut Keys, d_head: usize) -> Result<Rope> {
    let base = keys.number_or_none("rope_theta")?;
    let fraction = keys.number_or_none("partial_rotary_factor")?;
    for key in ["rope_parameters", "rope_scaling"] {
        if let Some(mut nested) = keys.object_or_none(key)? {
            return from_object(&mut nested, key, d_head, base, fraction);
        }
    }
    rope(d_head, base, fraction, RopeScaling::None)
}

/// Reads one object of rotary numbers; `base` and `fraction` are defaults from outside of it.
pub(super) fn from_object(
    keys: &mut Keys,
    path: &str,
    d_head: usize,
    base: Option<f64>,
    fraction: Option<f64>,
) -> Result<Rope> {
    let base = keys.number_or_none("rope_theta")?.or(base);
    let fraction = keys.number_or_none("partial_rotary_factor")?.or(fraction);
    let older_name = keys.text_or_none("type")?;
    let rope_type = keys.text_or_none("rope_type")?.or(older_name);
    let scaling = match rope_type.as_deref() {
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: keys.number("factor")? },
        Some("llama3") => RopeScaling::Llama3 {
            factor: keys.number("factor")?,
            low_freq_factor: keys.number("low_freq_factor")?,
            high_freq_factor: keys.number("high_freq_factor")?,
            original_n_ctx: keys.size("original_max_position_embeddings")?,
        },
        Some(other) => return Err(unsupported(&format!("{path}.rope_type"), other, "known: default, linear, llama3")),
    };
    match keys.unread(&[]).first() {
        Some(unread) => Err(unsupported(&format!("{path}.{unread}"), "(set)", "it is not a number of this rope type")),
        None => rope(d_head, base, fraction, scaling),
    }
}

/// The rope of a head of which a `fraction` is rotated, rounded down.
pub(super) fn rope(d_head: usize, base: Option<f64>, fraction: Option<f64>, scaling: RopeScaling) -> Result<Rope> {
    let fraction = fraction.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&fraction) {
        return Err(unsupported("partial_rotary_factor", fraction, "it must lie between 0 and 1"));
    }
    Ok(Rope { base: base.unwrap_or(USUAL_BASE), d_rotary: (d_head as f64 * fraction) as usize, scaling })
}

/// In a GGUF, Llama 3's scaling is stored as a tensor of divisors.
pub(super) const GGUF_DIVISORS: &str = "rope_freqs.weight";

/// Reads the `rope.` keys of a GGUF.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile, d_head: usize) -> Result<Rope> {
    let base = keys.number_or_none("rope.freq_base")?.unwrap_or(USUAL_BASE);
    let d_rotary = keys.size_or_none("rope.dimension_count")?.unwrap_or(d_head);
    let factor = keys.number_or_none("rope.scaling.factor")?;
    let divided = file.shape(GGUF_DIVISORS).is_some();
    let scaling = match (keys.text_or_none("rope.scaling.type")?.as_deref(), factor) {
        (None | Some("none"), None) if divided => {
            let divisors = file.read_all(GGUF_DIVISORS)?.into_iter().map(f64::from).collect();
            RopeScaling::PerFrequency { divisors }
        }
        (Some("none"), _) | (None, None) if !divided => RopeScaling::None,
        (Some("linear"), Some(factor)) | (None, Some(factor)) if !divided => RopeScaling::Linear { factor },
        (kind, factor) => {
            let value = format!("{kind:?} with factor {factor:?}, {GGUF_DIVISORS}: {divided}");
            return Err(unsupported("rope.scaling", value, "known: none, linear with a factor, or that tensor alone"));
        }
    };
    Ok(Rope { base, d_rotary, scaling })
}
