//! Phi-1, 1.5 and 2: attention and MLP side by side behind one norm, a part of each head rotated, a bias in the head.

use super::keys::{Keys, missing};
use super::{Layout, Recipe, Stored, gguf, hf, rope};
use crate::checkpoint::{Checkpoint, GgufFile};
use crate::param::{Param, Part};
use crate::{Activation, Bias, DecoderConfig, Head, Mlp, Norm, Position, PostNorm, QkNorm, Residual, Result};

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.only("qk_layernorm", false)?;
    let (n_heads, d_head) = (keys.size("num_attention_heads")?, hf::d_head(keys)?);
    // How much of a head is rotated must be said: transformers' default is a half.
    let nested = keys.object_or_none("rope_parameters")?;
    if !keys.has("partial_rotary_factor") && !nested.is_some_and(|nested| nested.has("partial_rotary_factor")) {
        return Err(missing("partial_rotary_factor"));
    }
    let config = DecoderConfig {
        n_layers: keys.size("num_hidden_layers")?,
        d_model: keys.size("hidden_size")?,
        n_heads,
        n_kv_heads: keys.size_or_none("num_key_value_heads")?.unwrap_or(n_heads),
        d_head,
        d_mlp: keys.size("intermediate_size")?,
        d_vocab: keys.size("vocab_size")?,
        n_ctx: keys.size("max_position_embeddings")?,
        embed_scale: 1.0,
        norm: Norm::Layer { eps: keys.number("layer_norm_eps")? },
        post_norm: PostNorm::Absent,
        residual: Residual::ParallelSharedNorm,
        mlp: Mlp::Plain { activation: hf::activation(keys, "hidden_act", "gelu_new")? },
        position: Position::Rotary(rope::from_hf(keys, d_head)?),
        sliding_window: None,
        attn_scale: hf::usual_scale(d_head),
        qk_norm: QkNorm::Absent,
        head: hf::head(keys, Head::Untied)?,
        qkv_bias: Bias::Present,
        attn_out_bias: Bias::Present,
        mlp_bias: Bias::Present,
        head_bias: Bias::Present,
    };
    Ok(Recipe::hf(config, hf::PREFIX, stored_in_hf, hf::ignorable))
}

fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let (name, layout) = match param.part {
        Part::FinalNorm => ("model.final_layernorm", Layout::SAME),
        Part::AttnOut => ("self_attn.dense", Layout::OUT_IN),
        Part::Up => ("mlp.fc1", Layout::OUT_IN),
        Part::Down => ("mlp.fc2", Layout::OUT_IN),
        _ => return hf::stored(config, param),
    };
    Stored { name: hf::full_name("model.layers", name, param), layout }
}

/// Older converters fuse query, key and value.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::layer_norm(keys)?;
    let config = DecoderConfig {
        residual: Residual::ParallelSharedNorm,
        mlp: Mlp::Plain { activation: Activation::GeluTanh },
        ..gguf::common(keys, file, norm)?
    };
    let fused = file.shape("blk.0.attn_qkv.weight").is_some();
    Ok(Recipe::gguf(config, if fused { gguf::stored_fused } else { gguf::stored }))
}
