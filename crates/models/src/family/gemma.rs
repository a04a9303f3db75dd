//! Gemma 1 and 2: scaled embeddings and gains stored as their difference from one; Gemma 2 has norms around each sublayer,
//! soft caps of scores and logits, and a window in every other layer.

use super::keys::{Keys, missing};
use super::rope::{self, Outer};
use super::{Layout, Recipe, Stored, gguf, hf, windows};
use crate::config::usual_scale;
use crate::files::GgufFile;
use crate::param::{Kind, Param, Part};
use crate::{Activation, DecoderConfig, Head, Mlp, NormPlacement, Result};

/// The caps of Gemma 2, where a configuration does not name them; null switches them off.
const SCORE_CAP: f64 = 50.0;
const LOGIT_CAP: f64 = 30.0;
/// Each second layer of Gemma 2 sees everything, unless a configuration says otherwise.
const PATTERN: usize = 2;

pub(super) fn gemma_from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.dead(&["hidden_activation"]); // transformers reads hidden_act alone, and takes gelu for its tanh form
    let activation = match hf::activation(keys, "hidden_act", "gelu_pytorch_tanh")? {
        Activation::Gelu => Activation::GeluTanh,
        other => other,
    };
    let config = common(keys)?.with_mlp(Mlp::Gated { activation });
    Ok(Recipe::new(config, hf::PREFIX, stored_minus_one))
}

pub(super) fn gemma2_from_hf(keys: &mut Keys) -> Result<Recipe> {
    let activation = hf::activation(keys, "hidden_activation", "gelu_pytorch_tanh")?;
    keys.dead(&["hidden_act", "cache_implementation", "sliding_window_size"]);
    let config = common(keys)?
        .with_mlp(Mlp::Gated { activation })
        .with_norm_placement(NormPlacement::Sandwich)
        .with_attn_scale(keys.number("query_pre_attn_scalar")?.powf(-0.5))
        .with_attn_soft_cap(keys.number_unless_null("attn_logit_softcapping", SCORE_CAP)?)
        .with_logit_soft_cap(keys.number_unless_null("final_logit_softcapping", LOGIT_CAP)?);
    let layers = windows::listed_or(keys, config.n_layers, || windows::patterned(config.n_layers, PATTERN))?;
    let size = keys.size_or_none("sliding_window")?;
    let config = config.with_sliding_window(windows::window(size, layers, None)?);
    Ok(Recipe::new(config, hf::PREFIX, stored_minus_one))
}

/// What both have.
fn common(keys: &mut Keys) -> Result<DecoderConfig> {
    let d_head = keys.size_or_none("head_dim")?.ok_or_else(|| missing("head_dim"))?; // not d_model / n_heads
    let outer = Outer::new(keys, d_head)?;
    let rope = rope::whole_heads(keys, outer)?;
    let norm = hf::rms(keys)?;
    let head = hf::head(keys, Head::Tied)?;
    let config = hf::common(keys, norm, rope)?.with_head(head);
    let embed_scale = (config.d_model as f64).sqrt();
    hf::with_attention_bias(config.with_embed_scale(embed_scale), keys)
}

/// Norms are stored as their gains' difference from one, and the norm before the MLP has a name of its own if there is one
/// after attention too.
pub(super) fn stored_minus_one(config: &DecoderConfig, param: Param) -> Stored {
    let Stored { name, layout } = match (param.part, config.norm_placement) {
        (Part::MlpNorm, NormPlacement::Sandwich) => {
            Stored { name: hf::full_name("model.layers", "pre_feedforward_layernorm", param), layout: Layout::SAME }
        }
        _ => hf::stored(config, param),
    };
    let is_gain = param.part.is_norm() && param.kind == Kind::Weight;
    Stored { name, layout: if is_gain { Layout::MINUS_ONE } else { layout } }
}

/// A GGUF holds the gains themselves.
pub(super) fn gemma_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    Ok(Recipe::gguf(common_in_gguf(keys, file)?, gguf::stored))
}

/// A GGUF leaves the scale of scores to the reader, and may leave the pattern of layers to it.
pub(super) fn gemma2_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let config = common_in_gguf(keys, file)?;
    // Only the largest model, with 46 layers, scales by another width than a head's; only its depth identifies it.
    let width = if config.n_layers == 46 { config.d_model / config.n_heads.max(1) } else { config.d_head };
    let layers = windows::in_gguf(keys, config.n_layers, PATTERN)?;
    let size = keys.size_or_none("attention.sliding_window")?;
    let config = config
        .with_norm_placement(NormPlacement::Sandwich)
        .with_attn_scale(usual_scale(width))
        .with_attn_soft_cap(Some(keys.number_or_none("attn_logit_softcapping")?.unwrap_or(SCORE_CAP)))
        .with_logit_soft_cap(Some(keys.number_or_none("final_logit_softcapping")?.unwrap_or(LOGIT_CAP)))
        .with_sliding_window(windows::window(size, layers, None)?);
    Ok(Recipe::gguf(config, gguf::stored))
}

/// What both have in a GGUF.
fn common_in_gguf(keys: &mut Keys, file: &GgufFile) -> Result<DecoderConfig> {
    let norm = gguf::rms(keys)?;
    let config = gguf::common(keys, file, norm)?;
    let embed_scale = (config.d_model as f64).sqrt();
    Ok(config.with_embed_scale(embed_scale).with_mlp(Mlp::Gated { activation: Activation::GeluTanh }))
}
