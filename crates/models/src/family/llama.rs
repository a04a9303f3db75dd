//! Llama: Llama 1 to 3.2 and the models that share its shape, such as SmolLM2.

use super::keys::Keys;
use super::{Recipe, gguf, hf};
use crate::files::GgufFile;
use crate::{Result, Weighting};

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.only("rope_interleaved", false)?;
    keys.dead(&["pretraining_tp", "is_llama_config"]);
    let config = hf::llama_like(keys)?;
    let config = hf::with_attention_bias(config, keys)?.with_mlp_bias(keys.flag_or("mlp_bias", false)?.into());
    Ok(Recipe::like_llama(config))
}

/// Mistral's models come under this architecture too, and Mixtral, which has experts. llama.cpp rotates adjacent pairs, so its
/// converter has permuted the rows of queries and keys.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    let config = match keys.size_or_none("expert_count")? {
        None | Some(0) => gguf::common(keys, file, norm)?,
        Some(_) => gguf::with_experts(keys, file, norm, Weighting::Renormalized)?,
    };
    keys.only("rope.dimension_count", config.d_head)?; // the permuted rows are those of whole heads
    Ok(Recipe::gguf(config, gguf::stored_in_pairs))
}
