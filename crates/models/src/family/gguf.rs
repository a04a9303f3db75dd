//! What families share when they come from a GGUF: its keys and tensor names, which are the same in each of them.

use super::hf::full_name;
use super::keys::Keys;
use super::{Layout, Stored, rope};
use crate::files::{GgufFile, TensorFiles};
use crate::param::{Param, Part};
use crate::{Bias, DecoderConfig, Head, Norm, Position, Result};

/// Reads what every architecture has, taking its head and biases from the tensors that are there; each family changes
/// what is its own.
pub(super) fn common(keys: &mut Keys, file: &GgufFile, norm: Norm) -> Result<DecoderConfig> {
    let (d_model, n_heads) = (keys.size("embedding_length")?, keys.size("attention.head_count")?);
    let d_head = keys.size_or_none("attention.key_length")?.unwrap_or(d_model / n_heads.max(1));
    keys.only("attention.value_length", d_head)?;
    keys.only("attention.causal", true)?;
    keys.only("expert_count", 0)?;
    keys.only("expert_used_count", 0)?;
    // The vocabulary's size is also the embedding's number of rows, which older converters do not repeat.
    let rows = file.shape("token_embd.weight").and_then(|shape| shape.first().copied());
    let has = |name: &str| file.shape(name).is_some();
    let bias = |of: &[&str]| Bias::from(of.iter().any(|name| has(&format!("{name}.bias"))));
    let n_layers = keys.size("block_count")?;
    let n_kv_heads = keys.size_or_none("attention.head_count_kv")?.unwrap_or(n_heads);
    let d_mlp = keys.size("feed_forward_length")?;
    let d_vocab = keys.size_or_none("vocab_size")?.or(rows).unwrap_or(0);
    let config = DecoderConfig::new(n_layers, d_model, n_heads, d_vocab)
        .with_heads(n_heads, n_kv_heads, d_head)
        .with_d_mlp(d_mlp)
        .with_n_ctx(keys.size("context_length")?)
        .with_norm(norm)
        .with_position(Position::Rotary(rope::from_gguf(keys, file, d_head)?))
        .with_head(if has("output.weight") { Head::Untied } else { Head::Tied })
        .with_head_bias(bias(&["output"]));
    Ok(DecoderConfig {
        qkv_bias: bias(&["blk.0.attn_q", "blk.0.attn_qkv"]),
        attn_out_bias: bias(&["blk.0.attn_output"]),
        mlp_bias: bias(&["blk.0.ffn_up"]),
        ..config
    })
}

pub(super) fn rms(keys: &mut Keys) -> Result<Norm> {
    Ok(Norm::Rms { eps: keys.number("attention.layer_norm_rms_epsilon")? })
}

pub(super) fn layer_norm(keys: &mut Keys) -> Result<Norm> {
    Ok(Norm::Layer { eps: keys.number("attention.layer_norm_epsilon")? })
}

/// Where a GGUF stores a parameter.
pub(super) fn stored(_config: &DecoderConfig, param: Param) -> Stored {
    let (name, layout) = match param.part {
        Part::EmbedNorm => ("token_embd_norm", Layout::SAME),
        Part::Embed => ("token_embd", Layout::SAME),
        Part::PosEmbed => ("position_embd", Layout::SAME),
        Part::Unembed => ("output", Layout::SAME),
        Part::FinalNorm => ("output_norm", Layout::SAME),
        Part::AttnNorm => ("attn_norm", Layout::SAME),
        Part::Query => ("attn_q", Layout::OUT_IN),
        Part::Key => ("attn_k", Layout::OUT_IN),
        Part::Value => ("attn_v", Layout::OUT_IN),
        Part::QueryNorm => ("attn_q_norm", Layout::SAME),
        Part::KeyNorm => ("attn_k_norm", Layout::SAME),
        Part::AttnOut => ("attn_output", Layout::OUT_IN),
        Part::AttnPostNorm => ("post_attention_norm", Layout::SAME),
        Part::MlpNorm => ("ffn_norm", Layout::SAME),
        Part::Gate => ("ffn_gate", Layout::OUT_IN),
        Part::Up => ("ffn_up", Layout::OUT_IN),
        Part::Down => ("ffn_down", Layout::OUT_IN),
        Part::MlpPostNorm => ("post_ffw_norm", Layout::SAME),
        other => unreachable!("no architecture that is read from a GGUF has {other:?}"),
    };
    Stored { name: full_name("blk", name, param), layout }
}

/// As [`stored`], with query, key and value one after the other in one tensor.
pub(super) fn stored_fused(config: &DecoderConfig, param: Param) -> Stored {
    let index = match param.part {
        Part::Query => 0,
        Part::Key => 1,
        Part::Value => 2,
        _ => return stored(config, param),
    };
    Stored { name: full_name("blk", "attn_qkv", param), layout: Layout::OUT_IN.part(index, 3) }
}

/// The divisors of rotary frequencies are read with the configuration.
pub(super) fn ignorable(_config: &DecoderConfig, name: &str) -> bool {
    name == rope::GGUF_DIVISORS
}
