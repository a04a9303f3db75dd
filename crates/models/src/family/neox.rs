//! GPT-NeoX and Pythia: parallel or sequential residual, a part of each head rotated, queries, keys and values fused.

use super::keys::{Keys, missing};
use super::rope::{from_object, rope};
use super::{Layout, Recipe, Stored, gguf, hf};
use crate::files::GgufFile;
use crate::param::{Param, Part};
use crate::{Activation, Bias, DecoderConfig, Mlp, Norm, Residual, Result, Rope, RopeScaling};

const PREFIX: &str = "gpt_neox.";

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    let d_head = hf::d_head(keys)?;
    let rope = rope_from_hf(keys, d_head)?;
    let norm = Norm::Layer { eps: keys.number("layer_norm_eps")? };
    let attention_bias = keys.flag_or("attention_bias", true)?.into();
    let config = DecoderConfig {
        residual: residual(keys, "use_parallel_residual")?,
        mlp: Mlp::Plain { activation: hf::activation(keys, "hidden_act", "gelu")? },
        qkv_bias: attention_bias,
        attn_out_bias: attention_bias,
        mlp_bias: Bias::Present,
        ..hf::common(keys, norm, rope)?
    };
    Ok(Recipe::hf(config, PREFIX, stored_in_hf, ignorable_in_hf))
}

fn residual(keys: &mut Keys, key: &str) -> Result<Residual> {
    Ok(if keys.flag_or(key, true)? { Residual::Parallel } else { Residual::Sequential })
}

/// The rotated fraction of a head must be given: transformers' default is a quarter.
fn rope_from_hf(keys: &mut Keys, d_head: usize) -> Result<Rope> {
    let newer_base = keys.number_or_none("rope_theta")?;
    let base = keys.number_or_none("rotary_emb_base")?.or(newer_base);
    let newer_fraction = keys.number_or_none("partial_rotary_factor")?;
    let fraction = keys.number_or_none("rotary_pct")?.or(newer_fraction);
    for key in ["rope_parameters", "rope_scaling"] {
        if let Some(mut nested) = keys.object_or_none(key)? {
            if fraction.is_none() && !nested.has("partial_rotary_factor") {
                return Err(missing(&format!("{key}.partial_rotary_factor")));
            }
            return from_object(&mut nested, key, d_head, base, fraction);
        }
    }
    let fraction = fraction.ok_or_else(|| missing("rotary_pct"))?;
    rope(d_head, base, Some(fraction), RopeScaling::None)
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

/// The causal mask and the rotary frequencies, which older checkpoints store.
fn ignorable_in_hf(config: &DecoderConfig, name: &str) -> bool {
    let buffer = hf::in_layer(config, "gpt_neox.layers", name);
    matches!(buffer, Some("attention.bias" | "attention.masked_bias" | "attention.rotary_emb.inv_freq"))
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
