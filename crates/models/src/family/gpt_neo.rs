//! GPT-Neo and TinyStories: learned positions, a window in every other layer, unscaled attention scores.

use serde_json::Value;

use super::keys::{Keys, unsupported};
use super::{Layout, Recipe, Stored, hf, windows};
use crate::config::MOST_LAYERS;
use crate::param::{Param, Part};
use crate::{Bias, DecoderConfig, Head, Mlp, Norm, Position, Result};

const KINDS: [&str; 2] = ["global", "local"];
const PREFIX: &str = "transformer.";

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    let (d_model, n_heads) = (keys.size("hidden_size")?, keys.size_of(&["num_heads", "num_attention_heads"])?);
    let n_layers = keys.size_of(&["num_layers", "num_hidden_layers"])?;
    let d_mlp = keys.size_or_none("intermediate_size")?;
    let config = DecoderConfig::new(n_layers, d_model, n_heads, keys.size("vocab_size")?);
    let config = d_mlp.map_or(config.clone(), |d_mlp| config.with_d_mlp(d_mlp));
    let window = windows::window(Some(keys.size("window_size")?), local_layers(keys, n_layers)?, None)?;
    let config = config
        .with_n_ctx(keys.size("max_position_embeddings")?)
        .with_norm(Norm::Layer { eps: keys.number("layer_norm_epsilon")? })
        .with_mlp(Mlp::Plain { activation: hf::activation(keys, "activation_function", "gelu_new")? })
        .with_position(Position::Learned)
        .with_sliding_window(window)
        .with_attn_scale(1.0)
        .with_head(hf::head(keys, Head::Tied)?)
        .with_biases(Bias::Present)
        .with_qkv_bias(Bias::Absent);
    Ok(Recipe::new(config, PREFIX, stored_in_hf).ignoring(hf::is_causal_mask))
}

/// The layers that `attention_layers` calls local, a list with an entry for each; or in its absence `attention_types`, such as
/// `[[["global", "local"], 12]]`. Where both are there and differ, transformers takes the first.
fn local_layers(keys: &mut Keys, n_layers: usize) -> Result<Vec<usize>> {
    if let Some(kinds) = keys.texts_or_none("attention_layers")? {
        keys.dead(&["attention_types"]);
        if kinds.len() != n_layers || kinds.iter().any(|kind| !KINDS.contains(&kind.as_str())) {
            let reason = format!("each of the {n_layers} layers is global or local");
            return Err(unsupported("attention_layers", format!("{kinds:?}"), &reason));
        }
        return Ok(windows::chosen(n_layers, |layer| kinds[layer] == "local"));
    }
    let types = keys.get("attention_types").cloned().unwrap_or_else(|| serde_json::json!([[["global", "local"], 12]]));
    let refused = |reason: &str| unsupported("attention_types", &types, reason);
    let groups = types.as_array().ok_or_else(|| refused("it must be a list"))?;
    let mut kinds = Vec::new();
    for group in groups {
        let (Some(names), Some(times)) = (group[0].as_array(), group[1].as_u64()) else {
            return Err(refused("its entries must be a list of kinds and a number of repetitions"));
        };
        let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
        if names.is_empty() || names.iter().any(|name| !KINDS.contains(name)) {
            return Err(refused("known kinds: global, local"));
        }
        let room = (MOST_LAYERS + 1).saturating_sub(kinds.len()); // one too many is refused below
        let repeated = names.len().saturating_mul(usize::try_from(times).unwrap_or(usize::MAX));
        kinds.extend(names.iter().copied().cycle().take(repeated.min(room)));
    }
    if kinds.len() != n_layers {
        return Err(refused(&format!("it names {} layers of {n_layers}", kinds.len())));
    }
    Ok(windows::chosen(n_layers, |layer| kinds[layer] == "local"))
}

fn stored_in_hf(_config: &DecoderConfig, param: Param) -> Stored {
    let (name, layout) = match param.part {
        Part::Embed => ("transformer.wte", Layout::SAME),
        Part::PosEmbed => ("transformer.wpe", Layout::SAME),
        Part::Unembed => ("lm_head", Layout::SAME),
        Part::FinalNorm => ("transformer.ln_f", Layout::SAME),
        Part::AttnNorm => ("ln_1", Layout::SAME),
        Part::Query => ("attn.attention.q_proj", Layout::OUT_IN),
        Part::Key => ("attn.attention.k_proj", Layout::OUT_IN),
        Part::Value => ("attn.attention.v_proj", Layout::OUT_IN),
        Part::AttnOut => ("attn.attention.out_proj", Layout::OUT_IN),
        Part::MlpNorm => ("ln_2", Layout::SAME),
        Part::Up => ("mlp.c_fc", Layout::OUT_IN),
        Part::Down => ("mlp.c_proj", Layout::OUT_IN),
        other => unreachable!("GPT-Neo has no {other:?}"),
    };
    Stored { name: hf::full_name("transformer.h", name, param), layout }
}
