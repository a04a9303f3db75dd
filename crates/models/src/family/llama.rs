//! Llama: Llama 1 to 3.2 and the models that share its shape, such as SmolLM2.

use serde_json::{Value, json};

use super::keys::Keys;
use super::{Recipe, gguf, hf};
use crate::files::GgufFile;
use crate::{Bias, DecoderConfig, Head, Result, Weighting};

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.only("rope_interleaved", false)?;
    keys.dead(&["pretraining_tp", "is_llama_config"]);
    let config = hf::llama_like(keys)?;
    let config = hf::with_attention_bias(config, keys)?.with_mlp_bias(keys.flag_or("mlp_bias", false)?.into());
    Ok(Recipe::like_llama(config))
}

/// The keys that [`from_hf`] reads as `config`, when it is of Llama's shape.
pub(crate) fn to_hf(config: &DecoderConfig) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.d_vocab,
        "max_position_embeddings": config.n_ctx,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.d_head,
        "intermediate_size": config.d_mlp,
        "hidden_act": hf::activation_name(config.mlp.activation()),
        "rms_norm_eps": config.norm.eps(),
        "rope_theta": config.position.rope().map(|rope| rope.base),
        "attention_bias": config.qkv_bias == Bias::Present,
        "mlp_bias": config.mlp_bias == Bias::Present,
        "tie_word_embeddings": config.head == Head::Tied,
        "bos_token_id": null,
        "eos_token_id": null,
    })
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
