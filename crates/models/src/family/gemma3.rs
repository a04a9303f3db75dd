//! Gemma 3: norms around each sublayer, scaled embeddings, and layers that see a window or everything. Of `gemma3`, the
//! vision-language models, the text model is read.

use serde_json::json;

use super::gemma::stored_minus_one;
use super::keys::{Keys, missing};
use super::rope::{self, ByKind, Outer};
use super::{Recipe, gguf, hf, windows};
use crate::config::usual_scale;
use crate::files::GgufFile;
use crate::{Activation, DecoderConfig, Head, Mlp, Norm, NormPlacement, QkNorm, Result, Rope, RopeScaling};

/// Every sixth layer sees everything, unless a configuration says otherwise.
const USUAL_PATTERN: usize = 6;
/// The base of layers with a window, where a configuration names none.
const LOCAL_BASE: f64 = 10_000.0;
/// The base of the others.
const GLOBAL_BASE: f64 = 1_000_000.0;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.dead(&["attn_logit_softcapping"]); // only Gemma 2 computes with it
    let logit_cap = keys.number_or_none("final_logit_softcapping")?;
    keys.size("head_dim")?; // transformers' default is not d_model / n_heads
    let head = hf::head(keys, Head::Tied)?;
    let ByKind { full, sliding } = ropes(keys)?;
    let activation = hf::activation(keys, "hidden_activation", "gelu_pytorch_tanh")?;
    let attn_scale = keys.number("query_pre_attn_scalar")?.powf(-0.5);
    let norm = Norm::Rms { eps: keys.number("rms_norm_eps")? };
    let config = hf::common(keys, norm, full)?;
    let config = hf::with_attention_bias(config, keys)?;
    let pattern = keys.size_or_none("sliding_window_pattern")?.unwrap_or(USUAL_PATTERN);
    let layers = windows::listed_or(keys, config.n_layers, || windows::patterned(config.n_layers, pattern))?;
    let size = keys.size_or_none("sliding_window")?;
    let config = with_its_own(config)
        .with_sliding_window(windows::window(size, layers, Some(sliding))?)
        .with_mlp(Mlp::Gated { activation })
        .with_attn_scale(attn_scale)
        .with_logit_soft_cap(logit_cap)
        .with_head(head);
    Ok(Recipe::new(config, hf::PREFIX, stored_minus_one))
}

/// The text model of a vision-language model; its configuration leaves out what is transformers' default.
pub(super) fn from_hf_with_images(keys: &mut Keys) -> Result<Recipe> {
    let mut text = keys.object_or_none("text_config")?.ok_or_else(|| missing("text_config"))?;
    for (key, value) in [
        ("vocab_size", json!(262_208)),
        ("hidden_size", json!(2304)),
        ("intermediate_size", json!(9216)),
        ("num_hidden_layers", json!(26)),
        ("num_attention_heads", json!(8)),
        ("num_key_value_heads", json!(4)),
        ("head_dim", json!(256)),
        ("max_position_embeddings", json!(131_072)),
        ("rms_norm_eps", json!(1e-6)),
        ("query_pre_attn_scalar", json!(256)),
        ("sliding_window", json!(4096)),
    ] {
        text.default(key, value);
    }
    keys.dead(&["vision_config", "mm_tokens_per_image", "boi_token_index", "eoi_token_index", "image_token_index"]);
    keys.dead(&["tie_word_embeddings"]);
    text.dead(&["model_type"]);
    from_hf(&mut text)?.of_text_model(&mut text)
}

/// What every Gemma 3 has.
fn with_its_own(config: DecoderConfig) -> DecoderConfig {
    let embed_scale = (config.d_model as f64).sqrt();
    config
        .with_embed_scale(embed_scale)
        .with_norm_placement(NormPlacement::Sandwich)
        .with_qk_norm(QkNorm::PerHead)
        .with_mlp(Mlp::Gated { activation: Activation::GeluTanh })
}

/// The rotary positions of layers that see everything, and of those with a window.
fn ropes(keys: &mut Keys) -> Result<ByKind> {
    let d_head = keys.size("head_dim")?;
    let outer = Outer::new(keys, d_head)?;
    let base = keys.number_or_none("rope_theta")?.unwrap_or(GLOBAL_BASE);
    let local_base = keys.number_or_none("rope_local_base_freq")?.unwrap_or(LOCAL_BASE);
    rope::by_kind_of_layer(keys, Outer { base, ..outer }, Outer { base: local_base, ..outer })
}

/// A GGUF holds the gains themselves, and may leave the pattern of layers and the local base to the reader.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    keys.absent("attn_logit_softcapping")?;
    keys.absent("final_logit_softcapping")?;
    let size = keys.size_or_none("attention.sliding_window")?;
    let base = keys.number_or_none("rope.freq_base_swa")?.unwrap_or(LOCAL_BASE);
    let norm = gguf::rms(keys)?;
    let config = gguf::common(keys, file, norm)?;
    // Only the largest model, with 62 layers, scales by another width than a head's; only its depth identifies it.
    let width = if config.n_layers == 62 { config.d_model / config.n_heads.max(1) } else { config.d_head };
    let attn_scale = keys.number_or_none("attention.scale")?.unwrap_or(usual_scale(width));
    let local = Rope { base, d_rotary: config.d_head, scaling: RopeScaling::None };
    let layers = windows::in_gguf(keys, config.n_layers, USUAL_PATTERN)?;
    let window = windows::window(size, layers, Some(local))?;
    let config = with_its_own(config).with_sliding_window(window).with_attn_scale(attn_scale);
    Ok(Recipe::gguf(config, gguf::stored))
}
