//! Llama: Llama 1 to 3.2 and the models that share its shape, such as SmolLM2.

use super::keys::Keys;
use super::{Recipe, Stored, gguf, hf};
use crate::files::GgufFile;
use crate::param::{Param, Part};
use crate::{DecoderConfig, Result};

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.only("rope_interleaved", false)?;
    keys.dead(&["pretraining_tp", "is_llama_config"]);
    let config = hf::llama_like(keys)?;
    let config = hf::with_attention_bias(config, keys)?.with_mlp_bias(keys.flag_or("mlp_bias", false)?.into());
    Ok(Recipe::like_llama(config))
}

/// Mistral's models come under this architecture too.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    let config = gguf::common(keys, file, norm)?;
    keys.only("rope.dimension_count", config.d_head)?; // the permuted rows are those of whole heads
    Ok(Recipe::gguf(config, stored_in_gguf))
}

/// llama.cpp rotates adjacent pairs, so its converter has permuted the rows of queries and keys.
fn stored_in_gguf(config: &DecoderConfig, param: Param) -> Stored {
    let Stored { name, layout } = gguf::stored(config, param);
    let layout = match param.part {
        Part::Query => layout.rotary_pairs(config.n_heads),
        Part::Key => layout.rotary_pairs(config.n_kv_heads),
        _ => layout,
    };
    Stored { name, layout }
}
