//! Granite 3: Llama's shape, with factors of embeddings, scores, sublayers and logits.

use super::keys::Keys;
use super::{Recipe, hf};
use crate::Result;

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
