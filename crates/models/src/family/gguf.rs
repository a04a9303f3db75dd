//! What families share when they come from a GGUF: its keys and tensor names, which are the same in each of them.

use super::hf::{full_name, fused_qkv, in_rotary_pairs};
use super::keys::Keys;
use super::{Layout, Stored, rope_gguf};
use crate::files::{GgufFile, TensorFiles};
use crate::param::{Param, Part};
use crate::{Bias, DecoderConfig, Experts, Head, Mlp, Norm, Position, Result, Weighting};

/// llama.cpp's number of the softmax, among the functions of a router's scores.
const SOFTMAX: u32 = 1;

/// Reads what every architecture without experts has; each family changes what is its own.
pub(super) fn common(keys: &mut Keys, file: &GgufFile, norm: Norm) -> Result<DecoderConfig> {
    keys.only("expert_count", 0)?;
    keys.only("expert_used_count", 0)?;
    with_any_mlp(keys, file, norm)
}

/// As [`common`], with a mixture of experts in every layer. Whether their weights are renormalised is the architecture's to
/// say, or a key's.
pub(super) fn with_experts(keys: &mut Keys, file: &GgufFile, norm: Norm, usual: Weighting) -> Result<DecoderConfig> {
    keys.only("expert_gating_func", SOFTMAX)?;
    keys.only("expert_weights_scale", 1.0)?;
    let config = with_any_mlp(keys, file, norm)?;
    let renormalized = keys.flag_or("expert_weights_norm", usual == Weighting::Renormalized)?;
    let (n_experts, n_active) = (keys.size("expert_count")?, keys.size("expert_used_count")?);
    let d_expert = keys.size_or_none("expert_feed_forward_length")?.unwrap_or(config.d_mlp);
    let experts = Experts::new(n_experts, n_active, d_expert)
        .with_weighting(if renormalized { Weighting::Renormalized } else { Weighting::Softmax })
        .with_router_bias(Bias::from(file.shape("blk.0.ffn_gate_inp.bias").is_some()));
    let experts = match keys.size_or_none("expert_shared_feed_forward_length")? {
        Some(d_shared) => experts.with_shared(d_shared),
        None => experts,
    };
    Ok(config.with_mlp(Mlp::Experts(experts)))
}

/// The sizes, and what is seen from the tensors that are there: the head and the biases.
fn with_any_mlp(keys: &mut Keys, file: &GgufFile, norm: Norm) -> Result<DecoderConfig> {
    let (d_model, n_heads) = (keys.size("embedding_length")?, keys.size("attention.head_count")?);
    let d_head = keys.size_or_none("attention.key_length")?.unwrap_or(d_model / n_heads.max(1));
    keys.only("attention.value_length", d_head)?;
    keys.only("attention.causal", true)?;
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
        .with_position(Position::Rotary(rope_gguf::from_gguf(keys, file, d_head)?))
        .with_head(if has("output.weight") { Head::Untied } else { Head::Tied })
        .with_head_bias(bias(&["output"]));
    Ok(DecoderConfig {
        qkv_bias: bias(&["blk.0.attn_q", "blk.0.attn_qkv"]),
        attn_out_bias: bias(&["blk.0.attn_output"]),
        mlp_bias: bias(&["blk.0.ffn_up", "blk.0.ffn_up_exps"]),
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
pub(super) fn stored(config: &DecoderConfig, param: Param) -> Stored {
    let n_experts = config.shape().experts.map_or(0, |experts| experts.n_experts);
    let of_expert = |expert: u32| Layout::OUT_IN.slab(expert as usize, n_experts);
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
        Part::HeadQueryNorm(head) => ("attn_q_norm", Layout::SAME.slab(head as usize, config.n_heads)),
        Part::HeadKeyNorm(head) => ("attn_k_norm", Layout::SAME.slab(head as usize, config.n_kv_heads)),
        Part::Sinks => ("attn_sinks", Layout::SAME),
        Part::Router => ("ffn_gate_inp", Layout::OUT_IN),
        Part::ExpertGate(expert) => ("ffn_gate_exps", of_expert(expert)),
        Part::ExpertUp(expert) => ("ffn_up_exps", of_expert(expert)),
        Part::ExpertDown(expert) => ("ffn_down_exps", of_expert(expert)),
        Part::SharedWeight => ("ffn_gate_inp_shexp", Layout::OUT_IN),
        Part::SharedGate => ("ffn_gate_shexp", Layout::OUT_IN),
        Part::SharedUp => ("ffn_up_shexp", Layout::OUT_IN),
        Part::SharedDown => ("ffn_down_shexp", Layout::OUT_IN),
    };
    Stored { name: full_name("blk", name, param), layout }
}

/// As [`stored`], with all queries, all keys and all values one after the other in one tensor.
pub(super) fn stored_fused(config: &DecoderConfig, param: Param) -> Stored {
    match fused_qkv(config, param.part) {
        Some(layout) => Stored { name: full_name("blk", "attn_qkv", param), layout },
        None => stored(config, param),
    }
}

/// The same with gate and value one after the other in one tensor.
pub(super) fn with_fused_gate(stored: Stored, param: Param) -> Stored {
    let index = match param.part {
        Part::Gate => 0,
        Part::Up => 1,
        _ => return stored,
    };
    Stored { name: full_name("blk", "ffn_up", param), layout: Layout::OUT_IN.part(index, 2) }
}

/// As [`stored`], with the rows of queries and keys in rotary pairs.
pub(super) fn stored_in_pairs(config: &DecoderConfig, param: Param) -> Stored {
    let Stored { name, layout } = stored(config, param);
    Stored { name, layout: in_rotary_pairs(layout, config, param.part) }
}

/// The divisors of rotary frequencies are read with the configuration.
pub(super) fn ignorable(_config: &DecoderConfig, name: &str) -> bool {
    rope_gguf::TENSORS.contains(&name)
}
