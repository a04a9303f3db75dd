//! Llama: Llama 1 to 3.2 and the models that share its shape, such as SmolLM2.

use super::keys::{Keys, unsupported};
use super::{Layout, Recipe, Stored};
use crate::checkpoint::{Checkpoint, GgufFile};
use crate::param::{Kind, Param, Part};
use crate::{Activation, Bias, DecoderConfig, Head, Mlp, Norm, Position, Result, RopeScaling};

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    let (d_model, n_heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    keys.only("hidden_act", "silu")?;
    keys.only("rope_interleaved", false)?;
    keys.only("pretraining_tp", 1)?;
    keys.only("is_llama_config", true)?;
    let attention_bias = keys.flag_or("attention_bias", false)?.into();
    let config = DecoderConfig {
        n_layers: keys.size("num_hidden_layers")?,
        d_model,
        n_heads,
        n_kv_heads: keys.size_or_none("num_key_value_heads")?.unwrap_or(n_heads),
        d_head: keys.size_or_none("head_dim")?.unwrap_or(d_model / n_heads.max(1)),
        d_mlp: keys.size("intermediate_size")?,
        d_vocab: keys.size("vocab_size")?,
        n_ctx: keys.size("max_position_embeddings")?,
        norm: Norm::Rms { eps: keys.number("rms_norm_eps")? },
        mlp: Mlp::Gated { activation: Activation::Silu },
        position: rotary_from_hf(keys)?,
        head: if keys.flag_or("tie_word_embeddings", false)? { Head::Tied } else { Head::Untied },
        qkv_bias: attention_bias,
        attn_out_bias: attention_bias,
        mlp_bias: keys.flag_or("mlp_bias", false)?.into(),
    };
    Ok(Recipe { config, locate: stored_in_hf, ignorable: ignorable_in_hf, unread_keys: Vec::new() })
}

/// Reads `rope_parameters`, or the older pair `rope_theta` and `rope_scaling`.
fn rotary_from_hf(keys: &mut Keys) -> Result<Position> {
    const DEFAULT_BASE: f64 = 10_000.0;
    let outer_base = keys.number_or_none("rope_theta")?;
    let (key, rope) = match keys.object_or_none("rope_parameters")? {
        Some(rope) => ("rope_parameters", Some(rope)),
        None => ("rope_scaling", keys.object_or_none("rope_scaling")?),
    };
    let Some(mut rope) = rope else {
        return Ok(Position::Rotary { base: outer_base.unwrap_or(DEFAULT_BASE), scaling: RopeScaling::None });
    };
    let base = rope.number_or_none("rope_theta")?.or(outer_base).unwrap_or(DEFAULT_BASE);
    let older_name = rope.text_or_none("type")?;
    let rope_type = rope.text_or_none("rope_type")?.or(older_name);
    let scaling = match rope_type.as_deref() {
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: rope.number("factor")? },
        Some("llama3") => RopeScaling::Llama3 {
            factor: rope.number("factor")?,
            low_freq_factor: rope.number("low_freq_factor")?,
            high_freq_factor: rope.number("high_freq_factor")?,
            original_n_ctx: rope.size("original_max_position_embeddings")?,
        },
        Some(other) => return Err(unsupported(&format!("{key}.rope_type"), other, "known: default, linear, llama3")),
    };
    match rope.unread(&[]).first() {
        Some(unread) => Err(unsupported(&format!("{key}.{unread}"), "(set)", "it is not a number of this rope type")),
        None => Ok(Position::Rotary { base, scaling }),
    }
}

pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let shape = |name: &str| file.shape(name);
    let (d_model, n_heads) = (keys.size("embedding_length")?, keys.size("attention.head_count")?);
    let d_head = keys.size_or_none("attention.key_length")?.unwrap_or(d_model / n_heads.max(1));
    keys.only("attention.value_length", d_head)?;
    keys.only("rope.dimension_count", d_head)?;
    keys.only("expert_count", 0)?;
    keys.only("expert_used_count", 0)?;
    // The vocabulary's size is also the embedding's number of rows, which older converters leave to speak for itself.
    let rows = shape("token_embd.weight").and_then(|shape| shape.first().copied());
    let bias_of = |name: &str| Bias::from(shape(name).is_some());
    let config = DecoderConfig {
        n_layers: keys.size("block_count")?,
        d_model,
        n_heads,
        n_kv_heads: keys.size_or_none("attention.head_count_kv")?.unwrap_or(n_heads),
        d_head,
        d_mlp: keys.size("feed_forward_length")?,
        d_vocab: keys.size_or_none("vocab_size")?.or(rows).unwrap_or(0),
        n_ctx: keys.size("context_length")?,
        norm: Norm::Rms { eps: keys.number("attention.layer_norm_rms_epsilon")? },
        mlp: Mlp::Gated { activation: Activation::Silu },
        position: rotary_from_gguf(keys, file)?,
        head: if shape("output.weight").is_some() { Head::Untied } else { Head::Tied },
        qkv_bias: bias_of("blk.0.attn_q.bias"),
        attn_out_bias: bias_of("blk.0.attn_output.bias"),
        mlp_bias: bias_of("blk.0.ffn_up.bias"),
    };
    Ok(Recipe { config, locate: stored_in_gguf, ignorable: ignorable_in_gguf, unread_keys: Vec::new() })
}

/// Llama 3's scaling stands in a GGUF as a tensor of divisors.
const ROPE_DIVISORS: &str = "rope_freqs.weight";

fn rotary_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Position> {
    let base = keys.number_or_none("rope.freq_base")?.unwrap_or(10_000.0);
    let factor = keys.number_or_none("rope.scaling.factor")?;
    let divided = file.shape(ROPE_DIVISORS).is_some();
    let scaling = match (keys.text_or_none("rope.scaling.type")?.as_deref(), factor) {
        (None | Some("none"), None) if divided => {
            let divisors = file.read(ROPE_DIVISORS)?.into_iter().map(f64::from).collect();
            RopeScaling::PerFrequency { divisors }
        }
        (Some("none"), _) | (None, None) if !divided => RopeScaling::None,
        (Some("linear"), Some(factor)) | (None, Some(factor)) if !divided => RopeScaling::Linear { factor },
        (kind, factor) => {
            let value = format!("{kind:?} with factor {factor:?}, {ROPE_DIVISORS}: {divided}");
            return Err(unsupported("rope.scaling", value, "known: none, linear with a factor, or that tensor alone"));
        }
    };
    Ok(Position::Rotary { base, scaling })
}

fn stored_in_hf(_config: &DecoderConfig, param: Param) -> Stored {
    let (name, layout) = match param.part {
        Part::Embed => ("model.embed_tokens", Layout::Same),
        Part::Unembed => ("lm_head", Layout::Same),
        Part::FinalNorm => ("model.norm", Layout::Same),
        Part::AttnNorm => ("input_layernorm", Layout::Same),
        Part::Query => ("self_attn.q_proj", Layout::OutIn),
        Part::Key => ("self_attn.k_proj", Layout::OutIn),
        Part::Value => ("self_attn.v_proj", Layout::OutIn),
        Part::AttnOut => ("self_attn.o_proj", Layout::OutIn),
        Part::MlpNorm => ("post_attention_layernorm", Layout::Same),
        Part::Gate => ("mlp.gate_proj", Layout::OutIn),
        Part::Up => ("mlp.up_proj", Layout::OutIn),
        Part::Down => ("mlp.down_proj", Layout::OutIn),
    };
    Stored { name: full_name("model.layers", name, param), layout }
}

fn stored_in_gguf(config: &DecoderConfig, param: Param) -> Stored {
    let (name, layout) = match param.part {
        Part::Embed => ("token_embd", Layout::Same),
        Part::Unembed => ("output", Layout::Same),
        Part::FinalNorm => ("output_norm", Layout::Same),
        Part::AttnNorm => ("attn_norm", Layout::Same),
        Part::Query => ("attn_q", Layout::RotaryPairs { n_heads: config.n_heads }),
        Part::Key => ("attn_k", Layout::RotaryPairs { n_heads: config.n_kv_heads }),
        Part::Value => ("attn_v", Layout::OutIn),
        Part::AttnOut => ("attn_output", Layout::OutIn),
        Part::MlpNorm => ("ffn_norm", Layout::Same),
        Part::Gate => ("ffn_gate", Layout::OutIn),
        Part::Up => ("ffn_up", Layout::OutIn),
        Part::Down => ("ffn_down", Layout::OutIn),
    };
    Stored { name: full_name("blk", name, param), layout }
}

fn full_name(blocks: &str, name: &str, param: Param) -> String {
    let kind = match param.kind {
        Kind::Weight => "weight",
        Kind::Bias => "bias",
    };
    match param.layer {
        Some(layer) => format!("{blocks}.{layer}.{name}.{kind}"),
        None => format!("{name}.{kind}"),
    }
}

/// Old checkpoints store rotary frequencies, which follow from the configuration; some store a tied head twice.
fn ignorable_in_hf(config: &DecoderConfig, name: &str) -> bool {
    name.ends_with(".self_attn.rotary_emb.inv_freq") || (config.head == Head::Tied && name == "lm_head.weight")
}

fn ignorable_in_gguf(_config: &DecoderConfig, name: &str) -> bool {
    name == ROPE_DIVISORS // read with the configuration
}
