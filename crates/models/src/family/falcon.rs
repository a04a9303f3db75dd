//! Falcon: multi-query, grouped or full attention, sublayers side by side or not, rotary positions or ALiBi.

use super::keys::{Keys, unsupported};
use super::rope::{self, Outer};
use super::{Layout, Recipe, Stored, gguf, hf};
use crate::files::{GgufFile, TensorFiles};
use crate::param::{Param, Part};
use crate::{Activation, DecoderConfig, Head, Mlp, Norm, Position, Residual, Result};

const PREFIX: &str = "transformer.";
/// The longest window, where a configuration names none.
const N_CTX: usize = 2048;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.dead(&["apply_residual_connection_post_layernorm"]);
    let d_model = keys.size_of(&["n_embed", "hidden_size"])?;
    let (n_layers, n_heads) = (keys.size("num_hidden_layers")?, keys.size("num_attention_heads")?);
    let d_head = d_model / n_heads.max(1);
    keys.default("max_position_embeddings", N_CTX);
    let outer = Outer::new(keys, d_head)?;
    let position = if keys.flag_or("alibi", false)? {
        keys.dead(&["rope_parameters", "rope_scaling", "rope_theta"]);
        Position::FalconAlibi
    } else {
        Position::Rotary(rope::whole_heads(keys, outer)?)
    };
    let (n_kv_heads, residual) = attention(keys, n_heads)?;
    let d_mlp = keys.size_or_none("ffn_hidden_size")?.unwrap_or(d_model.saturating_mul(4));
    let config = DecoderConfig::new(n_layers, d_model, n_heads, keys.size("vocab_size")?)
        .with_heads(n_heads, n_kv_heads, d_head)
        .with_d_mlp(d_mlp)
        .with_n_ctx(outer.n_ctx)
        .with_norm(Norm::Layer { eps: keys.number("layer_norm_epsilon")? })
        .with_residual(residual)
        .with_mlp(Mlp::Plain { activation: hf::activation(keys, "activation", "gelu")? })
        .with_position(position)
        .with_head(hf::head(keys, Head::Tied)?)
        .with_biases(keys.flag_or("bias", false)?.into());
    Ok(Recipe::new(config, PREFIX, stored_in_hf))
}

/// The heads of keys and values, and whether the sublayers are parallel.
fn attention(keys: &mut Keys, n_heads: usize) -> Result<(usize, Residual)> {
    let newer = keys.flag_or("new_decoder_architecture", false)?;
    let multi_query = keys.flag_or("multi_query", true)?;
    let parallel = keys.flag_or("parallel_attn", true)?;
    let n_kv_heads = keys.size_or_none("num_kv_heads")?.unwrap_or(n_heads);
    let norms = keys.size_or_none("num_ln_in_parallel_attn")?.unwrap_or(if newer { 2 } else { 1 });
    let n_kv_heads = match (newer, multi_query) {
        (true, _) => n_kv_heads,
        (false, true) => 1,
        (false, false) => n_heads,
    };
    match (newer, parallel, norms) {
        (true, true, 2) => Ok((n_kv_heads, Residual::Parallel)),
        (_, true, 1) => Ok((n_kv_heads, Residual::ParallelSharedNorm)),
        (false, false, _) => Ok((n_kv_heads, Residual::Sequential)),
        _ => {
            let value = format!("{norms}, with new_decoder_architecture {newer} and parallel_attn {parallel}");
            Err(unsupported("num_ln_in_parallel_attn", value, "no Falcon has these together"))
        }
    }
}

/// Each key and value head is stored after the query heads that share it.
fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let DecoderConfig { n_heads, n_kv_heads, d_head, .. } = *config;
    let group = n_heads / n_kv_heads;
    let fused = |head: usize| Layout::OUT_IN.in_groups(n_kv_heads, (group + 2) * d_head, head * d_head);
    let separate = config.residual == Residual::Parallel;
    let (name, layout) = match param.part {
        Part::Embed => ("transformer.word_embeddings", Layout::SAME),
        Part::Unembed => ("lm_head", Layout::SAME),
        Part::FinalNorm => ("transformer.ln_f", Layout::SAME),
        Part::AttnNorm if separate => ("ln_attn", Layout::SAME),
        Part::MlpNorm if separate => ("ln_mlp", Layout::SAME),
        Part::AttnNorm => ("input_layernorm", Layout::SAME),
        Part::MlpNorm => ("post_attention_layernorm", Layout::SAME),
        Part::Query => ("self_attention.query_key_value", fused(0)),
        Part::Key => ("self_attention.query_key_value", fused(group)),
        Part::Value => ("self_attention.query_key_value", fused(group + 1)),
        Part::AttnOut => ("self_attention.dense", Layout::OUT_IN),
        Part::Up => ("mlp.dense_h_to_4h", Layout::OUT_IN),
        Part::Down => ("mlp.dense_4h_to_h", Layout::OUT_IN),
        other => unreachable!("Falcon has no {other:?}"),
    };
    Stored { name: hf::full_name("transformer.h", name, param), layout }
}

/// All Falcons in a GGUF have their sublayers side by side, with a second norm or without.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::layer_norm(keys)?;
    let two_norms = file.shape("blk.0.attn_norm_2.weight").is_some();
    let config = gguf::common(keys, file, norm)?
        .with_mlp(Mlp::Plain { activation: Activation::Gelu })
        .with_residual(if two_norms { Residual::Parallel } else { Residual::ParallelSharedNorm });
    Ok(Recipe::gguf(config, stored_in_gguf))
}

/// Of two norms, the first is the MLP's.
fn stored_in_gguf(config: &DecoderConfig, param: Param) -> Stored {
    let name = match (param.part, config.residual) {
        (Part::AttnNorm, Residual::Parallel) => "attn_norm_2",
        (Part::MlpNorm, Residual::Parallel) => "attn_norm",
        _ => return gguf::stored_fused(config, param),
    };
    Stored { name: hf::full_name("blk", name, param), layout: Layout::SAME }
}
