//! GPT-NeoX and Pythia: parallel or sequential residual, a part of each head rotated, queries, keys and values fused.

use serde_json::{Value, json};

use super::keys::{Keys, missing};
use super::rope::{self, Outer};
use super::{Layout, Recipe, Stored, gguf, hf};
use crate::files::GgufFile;
use crate::param::{Param, Part};
use crate::{Activation, Bias, DecoderConfig, Head, Mlp, Norm, Residual, Result, Rope};

const PREFIX: &str = "gpt_neox.";

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    let d_head = hf::d_head(keys)?;
    let rope = rope_from_hf(keys, d_head)?;
    let norm = Norm::Layer { eps: keys.number("layer_norm_eps")? };
    let attention_bias: Bias = keys.flag_or("attention_bias", true)?.into();
    let activation = hf::activation(keys, "hidden_act", "gelu")?;
    let residual = residual(keys, "use_parallel_residual")?;
    let config = hf::common(keys, norm, rope)?
        .with_residual(residual)
        .with_mlp(Mlp::Plain { activation })
        .with_biases(Bias::Present)
        .with_qkv_bias(attention_bias)
        .with_attn_out_bias(attention_bias);
    Ok(Recipe::new(config, PREFIX, stored_in_hf).ignoring(hf::is_causal_mask))
}

/// The keys that [`from_hf`] reads as `config`, when it is of this shape.
pub(crate) fn to_hf(config: &DecoderConfig) -> Value {
    let rope = config.position.rope();
    json!({
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "vocab_size": config.d_vocab,
        "max_position_embeddings": config.n_ctx,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.d_mlp,
        "hidden_act": hf::activation_name(config.mlp.activation()),
        "layer_norm_eps": config.norm.eps(),
        "rotary_emb_base": rope.map(|rope| rope.base),
        "rotary_pct": rope.map(|rope| rope.d_rotary as f64 / config.d_head.max(1) as f64),
        "use_parallel_residual": config.residual == Residual::Parallel,
        "attention_bias": config.qkv_bias == Bias::Present,
        "tie_word_embeddings": config.head == Head::Tied,
        "bos_token_id": null,
        "eos_token_id": null,
    })
}

fn residual(keys: &mut Keys, key: &str) -> Result<Residual> {
    Ok(if keys.flag_or(key, true)? { Residual::Parallel } else { Residual::Sequential })
}

/// The rotated fraction of a head must be given: transformers' default is a quarter. Some of its versions write the names of other
/// families beside those of this one, and none reads them.
fn rope_from_hf(keys: &mut Keys, d_head: usize) -> Result<Rope> {
    keys.dead(&["rope_theta", "partial_rotary_factor"]);
    let outer = Outer::new(keys, d_head)?;
    let base = keys.number_or_none("rotary_emb_base")?.unwrap_or(outer.base);
    let fraction = keys.number_or_none("rotary_pct")?;
    let mut is_given = fraction.is_some();
    for key in ["rope_parameters", "rope_scaling"] {
        is_given |= keys.object_or_none(key)?.is_some_and(|nested| nested.has("partial_rotary_factor"));
    }
    if !is_given {
        return Err(missing("rotary_pct"));
    }
    rope::from_objects(keys, Outer { base, fraction: fraction.unwrap_or(outer.fraction), ..outer })
}

fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let part = |index| Layout::OUT_IN.part_of_head(index, 3, config.n_heads);
    let (name, layout) = match param.part {
        Part::Embed => ("gpt_neox.embed_in", Layout::SAME),
        Part::Unembed => ("embed_out", Layout::SAME),
        Part::FinalNorm => ("gpt_neox.final_layer_norm", Layout::SAME),
        Part::AttnNorm => ("input_layernorm", Layout::SAME),
        Part::Query => ("attention.query_key_value", part(0)),
        Part::Key => ("attention.query_key_value", part(1)),
        Part::Value => ("attention.query_key_value", part(2)),
        Part::AttnOut => ("attention.dense", Layout::OUT_IN),
        Part::MlpNorm => ("post_attention_layernorm", Layout::SAME),
        Part::Up => ("mlp.dense_h_to_4h", Layout::OUT_IN),
        Part::Down => ("mlp.dense_4h_to_h", Layout::OUT_IN),
        other => unreachable!("GPT-NeoX has no {other:?}"),
    };
    Stored { name: hf::full_name("gpt_neox.layers", name, param), layout }
}

pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::layer_norm(keys)?;
    let config = DecoderConfig {
        residual: residual(keys, "use_parallel_residual")?,
        mlp: Mlp::Plain { activation: Activation::Gelu },
        ..gguf::common(keys, file, norm)?
    };
    Ok(Recipe::gguf(config, gguf::stored_fused))
}
