//! What families share when they come from Hugging Face: the keys and tensor names of Llama and its descendants.

use super::keys::{Keys, unsupported};
use super::{Layout, Stored, rope};
use crate::param::{Kind, Param, Part};
use crate::{Activation, DecoderConfig, Head, Norm, Position, Result, Rope};

/// Reads what Llama's descendants have in common; each family changes what is its own.
pub(super) fn llama_like(keys: &mut Keys) -> Result<DecoderConfig> {
    let d_head = d_head(keys)?;
    let rope = rope::from_hf(keys, d_head)?;
    if rope.d_rotary != d_head {
        let rotated = format!("({} of {d_head})", rope.d_rotary);
        return Err(unsupported("partial_rotary_factor", rotated, "this family rotates whole heads"));
    }
    let norm = Norm::Rms { eps: keys.number("rms_norm_eps")? };
    common(keys, norm, rope)
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
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        _ => Err(unsupported(key, name, "known: silu, swish, gelu, gelu_new, gelu_pytorch_tanh, relu")),
    }
}

/// A name that transformers has for a nonlinearity.
pub(super) fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::Silu => "silu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_new",
        Activation::Relu => "relu",
    }
}

/// The prefix of the tensor names of a model with a head; checkpoints of the bare model lack it.
pub(super) const PREFIX: &str = "model.";

/// Where Llama's descendants store a parameter.
pub(super) fn stored(_config: &DecoderConfig, param: Param) -> Stored {
    let (name, layout) = match param.part {
        Part::Embed => ("model.embed_tokens", Layout::SAME),
        Part::PosEmbed => ("model.embed_positions", Layout::SAME),
        Part::Unembed => ("lm_head", Layout::SAME),
        Part::FinalNorm => ("model.norm", Layout::SAME),
        Part::AttnNorm => ("input_layernorm", Layout::SAME),
        Part::Query => ("self_attn.q_proj", Layout::OUT_IN),
        Part::Key => ("self_attn.k_proj", Layout::OUT_IN),
        Part::Value => ("self_attn.v_proj", Layout::OUT_IN),
        Part::QueryNorm => ("self_attn.q_norm", Layout::SAME),
        Part::KeyNorm => ("self_attn.k_norm", Layout::SAME),
        Part::AttnOut => ("self_attn.o_proj", Layout::OUT_IN),
        Part::AttnPostNorm => ("post_attention_layernorm", Layout::SAME),
        Part::MlpNorm => ("post_attention_layernorm", Layout::SAME),
        Part::Gate => ("mlp.gate_proj", Layout::OUT_IN),
        Part::Up => ("mlp.up_proj", Layout::OUT_IN),
        Part::Down => ("mlp.down_proj", Layout::OUT_IN),
        Part::MlpPostNorm => ("post_feedforward_layernorm", Layout::SAME),
    };
    Stored { name: full_name("model.layers", name, param), layout }
}

/// Old checkpoints store rotary frequencies, which follow from the configuration.
pub(super) fn ignorable(config: &DecoderConfig, name: &str) -> bool {
    in_layer(config, "model.layers", name) == Some("self_attn.rotary_emb.inv_freq")
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
pub(super) fn in_layer<'a>(config: &DecoderConfig, blocks: &str, name: &'a str) -> Option<&'a str> {
    let (layer, rest) = name.strip_prefix(blocks)?.strip_prefix('.')?.split_once('.')?;
    (layer.parse::<usize>().ok()? < config.n_layers).then_some(rest)
}
