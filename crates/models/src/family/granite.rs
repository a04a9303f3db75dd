//! Granite 3: Llama's shape, with factors of embeddings, scores, sublayers and logits.

use super::keys::Keys;
use super::{Recipe, gguf, hf};
use crate::Result;
use crate::files::GgufFile;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    let config = hf::llama_like(keys)?;
    let config = hf::with_attention_bias(config, keys)?;
    let config = config
        .with_mlp_bias(keys.flag_or("mlp_bias", false)?.into())
        .with_embed_scale(keys.number_or_none("embedding_multiplier")?.unwrap_or(1.0))
        .with_attn_scale(keys.number_or_none("attention_multiplier")?.unwrap_or(1.0))
        .with_residual_scale(keys.number_or_none("residual_multiplier")?.unwrap_or(1.0))
        .with_logit_scale(1.0 / keys.number_or_none("logits_scaling")?.unwrap_or(1.0));
    Ok(Recipe::like_llama(config))
}

/// With rows of queries and keys permuted as Llama's.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    let config = gguf::common(keys, file, norm)?;
    keys.only("rope.dimension_count", config.d_head)?;
    let attn_scale = keys.number_or_none("attention.scale")?.unwrap_or(config.attn_scale);
    let config = config
        .with_attn_scale(attn_scale)
        .with_embed_scale(keys.number_or_none("embedding_scale")?.unwrap_or(1.0))
        .with_residual_scale(keys.number_or_none("residual_scale")?.unwrap_or(1.0))
        .with_logit_scale(1.0 / keys.number_or_none("logit_scale")?.unwrap_or(1.0));
    Ok(Recipe::gguf(config, gguf::stored_in_pairs))
}
