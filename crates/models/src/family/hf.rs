//! What families share when they come from Hugging Face: the keys and tensor names of Llama and its descendants.

use super::keys::{Keys, unsupported};
use super::{Layout, Stored, rope};
use crate::param::{Kind, Param, Part};
use crate::{Activation, Bias, DecoderConfig, Head, Mlp, Norm, Position, Result, Rope};

/// Reads what Llama's descendants have in common; each family changes what is its own.
pub(super) fn llama_like(keys: &mut Keys) -> Result<DecoderConfig> {
    llama_like_with(keys, rope::USUAL_BASE)
}

/// As [`llama_like`], with another rotary base where the configuration has none.
pub(super) fn llama_like_with(keys: &mut Keys, base: f64) -> Result<DecoderConfig> {
    let d_head = d_head(keys)?;
    let outer = rope::Outer::new(keys, d_head)?;
    let rope = rope::whole_heads(keys, rope::Outer { base, ..outer })?;
    let norm = rms(keys)?;
    let activation = activation(keys, "hidden_act", "silu")?;
    Ok(common(keys, norm, rope)?.with_mlp(Mlp::Gated { activation }))
}

/// RMSNorm with `rms_norm_eps`.
pub(super) fn rms(keys: &mut Keys) -> Result<Norm> {
    Ok(Norm::Rms { eps: keys.number("rms_norm_eps")? })
}

/// `attention_bias`, which is for queries, keys, values and the attention's output.
pub(super) fn with_attention_bias(config: DecoderConfig, keys: &mut Keys) -> Result<DecoderConfig> {
    let bias: Bias = keys.flag_or("attention_bias", false)?.into();
    Ok(config.with_qkv_bias(bias).with_attn_out_bias(bias))
}

/// The width of a head: its own key, or else `hidden_size` divided by the number of heads.
pub(super) fn d_head(keys: &mut Keys) -> Result<usize> {
    let (d_model, n_heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    Ok(keys.size_or_none("head_dim")?.unwrap_or(d_model / n_heads.max(1)))
}

/// Reads the sizes, which have the same keys in nearly every family, into a decoder with a gated MLP, a head of its own
/// and no biases. Key and value heads and the width of a head have the defaults that transformers gives them.
pub(super) fn common(keys: &mut Keys, norm: Norm, rope: Rope) -> Result<DecoderConfig> {
    let (n_heads, d_head) = (keys.size("num_attention_heads")?, d_head(keys)?);
    let (n_layers, d_model) = (keys.size("num_hidden_layers")?, keys.size("hidden_size")?);
    let n_kv_heads = keys.size_or_none("num_key_value_heads")?.unwrap_or(n_heads);
    let d_mlp = keys.size("intermediate_size")?;
    Ok(DecoderConfig::new(n_layers, d_model, n_heads, keys.size("vocab_size")?)
        .with_heads(n_heads, n_kv_heads, d_head)
        .with_d_mlp(d_mlp)
        .with_n_ctx(keys.size("max_position_embeddings")?)
        .with_norm(norm)
        .with_position(Position::Rotary(rope))
        .with_head(head(keys, Head::Untied)?))
}

/// `tie_word_embeddings`, whose default differs between families.
pub(super) fn head(keys: &mut Keys, default: Head) -> Result<Head> {
    let tied = keys.flag_or("tie_word_embeddings", default == Head::Tied)?;
    Ok(if tied { Head::Tied } else { Head::Untied })
}

/// A nonlinearity by transformers' name for it.
pub(super) fn activation(keys: &mut Keys, key: &str, default: &str) -> Result<Activation> {
    let name = keys.text_or_none(key)?.unwrap_or_else(|| default.to_owned());
    match name.as_str() {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu" | "gelu_python" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_fast" | "gelu_accurate" | "gelu_pytorch_tanh" | "gelu_python_tanh" => {
            Ok(Activation::GeluTanh)
        }
        "relu" => Ok(Activation::Relu),
        "relu2" => Ok(Activation::Relu2),
        _ => {
            Err(unsupported(key, name, "known: silu, swish, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu, relu2"))
        }
    }
}

/// A name that transformers has for a nonlinearity.
pub(super) fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::Silu => "silu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_new",
        Activation::Relu => "relu",
        Activation::Relu2 => "relu2",
        Activation::ClampedSwish { .. } => "silu", // a configuration read back with it is another one
    }
}

/// The prefix of the tensor names of a model with a head; checkpoints of the bare model lack it.
pub(super) const PREFIX: &str = "model.";

/// Where Llama's descendants store a parameter. Norms have the names of models that norm before sublayers; where norms are
/// after them, `post_attention_layernorm` is the norm of attention's output.
pub(super) fn stored(_config: &DecoderConfig, param: Param) -> Stored {
    let (name, layout) = match param.part {
        Part::Embed => ("model.embed_tokens".to_owned(), Layout::SAME),
        Part::EmbedNorm => ("model.embed_layernorm".to_owned(), Layout::SAME),
        Part::PosEmbed => ("model.embed_positions".to_owned(), Layout::SAME),
        Part::Unembed => ("lm_head".to_owned(), Layout::SAME),
        Part::FinalNorm => ("model.norm".to_owned(), Layout::SAME),
        Part::AttnNorm => ("input_layernorm".to_owned(), Layout::SAME),
        Part::Query => ("self_attn.q_proj".to_owned(), Layout::OUT_IN),
        Part::Key => ("self_attn.k_proj".to_owned(), Layout::OUT_IN),
        Part::Value => ("self_attn.v_proj".to_owned(), Layout::OUT_IN),
        Part::QueryNorm => ("self_attn.q_norm".to_owned(), Layout::SAME),
        Part::KeyNorm => ("self_attn.k_norm".to_owned(), Layout::SAME),
        Part::HeadQueryNorm(head) => (format!("self_attn.q_layernorm.norms.{head}"), Layout::SAME),
        Part::HeadKeyNorm(head) => (format!("self_attn.k_layernorm.norms.{head}"), Layout::SAME),
        Part::Sinks => ("self_attn.sinks".to_owned(), Layout::SAME),
        Part::AttnOut => ("self_attn.o_proj".to_owned(), Layout::OUT_IN),
        Part::AttnPostNorm | Part::MlpNorm => ("post_attention_layernorm".to_owned(), Layout::SAME),
        Part::Gate => ("mlp.gate_proj".to_owned(), Layout::OUT_IN),
        Part::Up => ("mlp.up_proj".to_owned(), Layout::OUT_IN),
        Part::Down => ("mlp.down_proj".to_owned(), Layout::OUT_IN),
        Part::Router => ("mlp.gate".to_owned(), Layout::OUT_IN),
        Part::ExpertGate(expert) => (format!("mlp.experts.{expert}.gate_proj"), Layout::OUT_IN),
        Part::ExpertUp(expert) => (format!("mlp.experts.{expert}.up_proj"), Layout::OUT_IN),
        Part::ExpertDown(expert) => (format!("mlp.experts.{expert}.down_proj"), Layout::OUT_IN),
        Part::SharedGate => ("mlp.shared_expert.gate_proj".to_owned(), Layout::OUT_IN),
        Part::SharedUp => ("mlp.shared_expert.up_proj".to_owned(), Layout::OUT_IN),
        Part::SharedDown => ("mlp.shared_expert.down_proj".to_owned(), Layout::OUT_IN),
        Part::SharedWeight => ("mlp.shared_expert_gate".to_owned(), Layout::OUT_IN),
        Part::MlpPostNorm => ("post_feedforward_layernorm".to_owned(), Layout::SAME),
    };
    Stored { name: full_name("model.layers", &name, param), layout }
}

/// The part of a tensor with all queries, all keys and all values one after the other; none of another parameter.
pub(super) fn fused_qkv(config: &DecoderConfig, part: Part) -> Option<Layout> {
    let DecoderConfig { n_heads, n_kv_heads, d_head, .. } = *config;
    let start = match part {
        Part::Query => 0,
        Part::Key => n_heads,
        Part::Value => n_heads + n_kv_heads,
        _ => return None,
    };
    Some(Layout::OUT_IN.in_groups(1, (n_heads + 2 * n_kv_heads) * d_head, start * d_head))
}

/// A layout with the rotated rows of queries and keys in pairs, as it is for other parameters.
pub(super) fn in_rotary_pairs(layout: Layout, config: &DecoderConfig, part: Part) -> Layout {
    let d_rotary = config.position.rope().map_or(0, |rope| rope.d_rotary);
    match part {
        Part::Query => layout.partial_rotary_pairs(config.n_heads, d_rotary),
        Part::Key => layout.partial_rotary_pairs(config.n_kv_heads, d_rotary),
        _ => layout,
    }
}

/// Gate and value fused in one tensor, one after the other, as in Phi-3 and GLM-4.
pub(super) fn stored_with_fused_gate(config: &DecoderConfig, param: Param) -> Stored {
    let index = match param.part {
        Part::Gate => 0,
        Part::Up => 1,
        _ => return stored(config, param),
    };
    let name = full_name("model.layers", "mlp.gate_up_proj", param);
    Stored { name, layout: Layout::OUT_IN.part(index, 2) }
}

/// Whether a tensor is a causal mask, or the number that it puts in place of a score; older checkpoints of the GPT families
/// store them in each layer.
pub(super) fn is_causal_mask(config: &DecoderConfig, name: &str) -> bool {
    let buffer = ["transformer.h", "gpt_neox.layers"].iter().find_map(|blocks| in_layer(config, blocks, name));
    let module = buffer.and_then(|buffer| buffer.strip_suffix(".masked_bias").or(buffer.strip_suffix(".bias")));
    matches!(module, Some("attn" | "attn.attention" | "attention"))
}

/// `blocks.LAYER.name.weight`, or without a layer `name.weight`; `bias` in place of `weight` for a bias.
pub(super) fn full_name(blocks: &str, name: &str, param: Param) -> String {
    let kind = match param.kind {
        Kind::Weight => "weight",
        Kind::Bias => "bias",
    };
    match param.layer {
        Some(layer) => format!("{blocks}.{layer}.{name}.{kind}"),
        None => format!("{name}.{kind}"),
    }
}

/// The rest of a name after `blocks.LAYER.`, where the model has that layer.
fn in_layer<'a>(config: &DecoderConfig, blocks: &str, name: &'a str) -> Option<&'a str> {
    let (layer, rest) = name.strip_prefix(blocks)?.strip_prefix('.')?.split_once('.')?;
    (layer.parse::<usize>().ok()? < config.n_layers).then_some(rest)
}
