//! Gemma 3's text models: norms around each sublayer, scaled embeddings, and layers that see a window or everything.

use super::keys::Keys;
use super::rope::{self, from_object};
use super::{Layout, Recipe, Stored, gguf, hf, windows};
use crate::config::usual_scale;
use crate::files::GgufFile;
use crate::param::{Param, Part};
use crate::{Activation, Bias, DecoderConfig, Head, Mlp, Norm, PostNorm, QkNorm, Result, Rope, RopeScaling};

/// Every sixth layer sees everything, unless a configuration says otherwise.
const USUAL_PATTERN: usize = 6;
/// The base of layers with a window, where a configuration names none.
const LOCAL_BASE: f64 = 10_000.0;
/// The base of the others.
const GLOBAL_BASE: f64 = 1_000_000.0;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.absent("attn_logit_softcapping")?;
    keys.absent("final_logit_softcapping")?;
    keys.only("use_bidirectional_attention", false)?;
    keys.size("head_dim")?; // transformers' default is not d_model / n_heads
    let head = hf::head(keys, Head::Tied)?;
    let (global, local) = ropes(keys)?;
    let activation = hf::activation(keys, "hidden_activation", "gelu_pytorch_tanh")?;
    let attention_bias: Bias = keys.flag_or("attention_bias", false)?.into();
    let attn_scale = keys.number("query_pre_attn_scalar")?.powf(-0.5);
    let norm = Norm::Rms { eps: keys.number("rms_norm_eps")? };
    let config = hf::common(keys, norm, global)?;
    let pattern = keys.size_or_none("sliding_window_pattern")?.unwrap_or(USUAL_PATTERN);
    let layers = match windows::listed(keys, config.n_layers)? {
        Some(listed) => listed,
        None => patterned(config.n_layers, pattern),
    };
    let size = keys.size_or_none("sliding_window")?;
    let config = DecoderConfig {
        sliding_window: windows::window(size, layers, Some(local))?,
        mlp: Mlp::Gated { activation },
        attn_scale,
        qkv_bias: attention_bias,
        attn_out_bias: attention_bias,
        head,
        ..with_its_own(config)
    };
    Ok(Recipe::hf(config, hf::PREFIX, stored_in_hf, hf::ignorable))
}

/// What every Gemma 3 has.
fn with_its_own(config: DecoderConfig) -> DecoderConfig {
    DecoderConfig {
        embed_scale: (config.d_model as f64).sqrt(),
        post_norm: PostNorm::Present,
        qk_norm: QkNorm::Present,
        mlp: Mlp::Gated { activation: Activation::GeluTanh },
        ..config
    }
}

/// The layers with a window: all but each `pattern`-th.
fn patterned(n_layers: usize, pattern: usize) -> Vec<usize> {
    windows::chosen(n_layers, |layer| !(layer + 1).is_multiple_of(pattern))
}

/// The rotary positions of layers that see everything, and of those with a window.
fn ropes(keys: &mut Keys) -> Result<(Rope, Rope)> {
    let d_head = keys.size("head_dim")?;
    let global_base = Some(keys.number_or_none("rope_theta")?.unwrap_or(GLOBAL_BASE));
    let local_base = Some(keys.number_or_none("rope_local_base_freq")?.unwrap_or(LOCAL_BASE));
    let mut nested = keys.object_or_none("rope_parameters")?;
    let mut of =
        |kind: &str, base| match nested.as_mut().map(|nested| nested.object_or_none(kind)).transpose()?.flatten() {
            Some(mut inner) => from_object(&mut inner, &format!("rope_parameters.{kind}"), d_head, base, None),
            None => rope::rope(d_head, base, None, RopeScaling::None),
        };
    let (global, local) = (of("full_attention", global_base)?, of("sliding_attention", local_base)?);
    if let Some(unread) = nested.and_then(|nested| nested.unread(&[]).first().cloned()) {
        return Err(super::keys::unsupported(&format!("rope_parameters.{unread}"), "(set)", "it is no kind of layer"));
    }
    // The older form: `rope_scaling` is for the layers that see everything.
    match keys.object_or_none("rope_scaling")? {
        Some(mut older) => Ok((from_object(&mut older, "rope_scaling", d_head, global_base, None)?, local)),
        None => Ok((global, local)),
    }
}

/// Norms are stored as their gains' difference from one.
fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let Stored { name, layout } = match param.part {
        Part::MlpNorm => {
            Stored { name: hf::full_name("model.layers", "pre_feedforward_layernorm", param), layout: Layout::SAME }
        }
        _ => hf::stored(config, param),
    };
    Stored { name, layout: if param.part.is_norm() { Layout::MINUS_ONE } else { layout } }
}

/// A GGUF holds the gains themselves, and leaves the pattern of layers and the local base to the reader.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    keys.absent("attn_logit_softcapping")?;
    keys.absent("final_logit_softcapping")?;
    let size = keys.size_or_none("attention.sliding_window")?;
    let pattern = keys.size_or_none("attention.sliding_window_pattern")?.unwrap_or(USUAL_PATTERN);
    let base = keys.number_or_none("rope.freq_base_swa")?.unwrap_or(LOCAL_BASE);
    let norm = gguf::rms(keys)?;
    let config = gguf::common(keys, file, norm)?;
    // Only the largest model, with 62 layers, scales by another width than a head's; only its depth identifies it.
    let width = if config.n_layers == 62 { config.d_model / config.n_heads.max(1) } else { config.d_head };
    let attn_scale = keys.number_or_none("attention.scale")?.unwrap_or(usual_scale(width));
    let local = Rope { base, d_rotary: config.d_head, scaling: RopeScaling::None };
    let layers = patterned(config.n_layers, pattern);
    let sliding_window = windows::window(size, layers, Some(local))?;
    let config = DecoderConfig { sliding_window, attn_scale, ..with_its_own(config) };
    Ok(Recipe::gguf(config, gguf::stored))
}
