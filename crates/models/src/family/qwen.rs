//! Qwen2, Qwen2.5 (biases of query, key and value) and Qwen3 (norms of query and key).

use super::keys::Keys;
use super::{Recipe, gguf, hf, windows};
use crate::files::GgufFile;
use crate::{Bias, DecoderConfig, QkNorm, Result, SlidingWindow};

pub(super) fn qwen2_from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.only("use_mrope", false)?;
    keys.dead(&["dual_chunk_attention_config"]); // for texts of more than 262,144 tokens, and not read by transformers
    Ok(Recipe::like_llama(from_hf(keys)?.with_qkv_bias(Bias::Present)))
}

pub(super) fn qwen3_from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.size("head_dim")?; // transformers' default is not d_model / n_heads
    keys.dead(&["dual_chunk_attention_config"]);
    let config = from_hf(keys)?.with_qk_norm(QkNorm::PerHead);
    Ok(Recipe::like_llama(hf::with_attention_bias(config, keys)?))
}

fn from_hf(keys: &mut Keys) -> Result<DecoderConfig> {
    let config = hf::llama_like(keys)?;
    let window = sliding_window(keys, config.n_layers)?;
    Ok(config.with_sliding_window(window))
}

/// A window on the layers listed, or from `max_window_layers` on; none unless it is switched on.
fn sliding_window(keys: &mut Keys, n_layers: usize) -> Result<Option<SlidingWindow>> {
    let (_, size) = windows::switched_on(keys)?;
    let first = keys.size_or_none("max_window_layers")?;
    let layers = match (windows::listed(keys, n_layers)?, size) {
        (Some(listed), _) => listed,
        (None, None) => Vec::new(),
        (None, Some(_)) => {
            let first = first.ok_or_else(|| super::keys::missing("max_window_layers"))?;
            windows::chosen(n_layers, |layer| layer >= first)
        }
    };
    windows::window(size, layers, None)
}

pub(super) fn qwen2_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    Ok(Recipe::gguf(gguf::common(keys, file, norm)?, gguf::stored))
}

pub(super) fn qwen3_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    Ok(Recipe::gguf(gguf::common(keys, file, norm)?.with_qk_norm(QkNorm::PerHead), gguf::stored))
}
