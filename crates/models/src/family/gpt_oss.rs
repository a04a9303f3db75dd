//! gpt-oss: a mixture of experts with biases and a clamped gate, attention sinks, a window in every other layer, YaRN. The
//! experts' weights may be in MXFP4.

use serde_json::json;

use super::keys::{Keys, unsupported};
use super::rope::{self, Outer};
use super::{Layout, Recipe, Stored, gguf, hf, windows};
use crate::files::GgufFile;
use crate::param::{Param, Part};
use crate::{Activation, AttentionSinks, Bias, DecoderConfig, Experts, Mlp, Position, Result, RopeScaling, Weighting};

/// The rotary base, where a configuration names none.
const BASE: f64 = 150_000.0;
/// The slope and the limit of the gate, where a configuration does not name them.
const ALPHA: f64 = 1.702;
const LIMIT: f64 = 7.0;
/// Each second layer sees everything, unless a configuration says otherwise.
const PATTERN: usize = 2;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.dead(&["hidden_act", "initial_context_length", "experts_per_token"]);
    let d_head = keys.size("head_dim")?; // transformers' default is not d_model / n_heads
    if keys.get("rope_scaling").is_none() {
        let usual =
            json!({"rope_type": "yarn", "factor": 32.0, "truncate": false, "original_max_position_embeddings": 4096});
        keys.default_for_null("rope_parameters", usual);
    }
    let outer = Outer { base: BASE, ..Outer::new(keys, d_head)? };
    let rope = rope::whole_heads(keys, outer)?;
    let norm = hf::rms(keys)?;
    let alpha = keys.number_or_none("swiglu_alpha")?.unwrap_or(ALPHA);
    let limit = keys.number_or_none("swiglu_limit")?.unwrap_or(LIMIT);
    let config = hf::common(keys, norm, rope)?;
    let (n_experts, n_active) = (keys.size("num_local_experts")?, keys.size("num_experts_per_tok")?);
    let experts = Experts::new(n_experts, n_active, config.d_mlp)
        .with_activation(Activation::ClampedSwish { alpha, limit })
        .with_router_bias(Bias::Present);
    let layers = windows::listed_or(keys, config.n_layers, || windows::patterned(config.n_layers, PATTERN))?;
    let window = windows::window(keys.size_or_none("sliding_window")?, layers, None)?;
    let attention_bias: Bias = keys.flag_or("attention_bias", true)?.into();
    let config = config
        .with_mlp(Mlp::Experts(experts))
        .with_sinks(AttentionSinks::Present)
        .with_sliding_window(window)
        .with_qkv_bias(attention_bias)
        .with_attn_out_bias(attention_bias)
        .with_mlp_bias(Bias::Present);
    if is_in_mxfp4(keys)? {
        return Ok(Recipe::new(config, hf::PREFIX, stored_in_mxfp4).in_mxfp4());
    }
    Ok(Recipe::new(config, hf::PREFIX, stored_in_hf))
}

/// Whether the experts' weights are in MXFP4.
fn is_in_mxfp4(keys: &mut Keys) -> Result<bool> {
    let Some(mut quantization) = keys.object_or_none("quantization_config")?.filter(|keys| !keys.is_empty()) else {
        return Ok(false);
    };
    let method = quantization.text("quant_method")?;
    if method != "mxfp4" {
        return Err(unsupported("quantization_config.quant_method", method, "known: mxfp4"));
    }
    // Which modules are not quantised is seen from their tensors; how transformers computes is not of interest.
    quantization.dead(&["modules_to_not_convert", "dequantize"]);
    match quantization.left().next() {
        Some(unread) => Err(unsupported(&format!("quantization_config.{unread}"), "(set)", "it is not known")),
        None => Ok(true),
    }
}

/// All experts are in one tensor, with gate and value in alternate columns; names of tensors of experts and sinks have no
/// `weight`.
fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    stored(config, param, Layout::SAME)
}

/// The same with the experts' matrices the other way round.
fn stored_in_mxfp4(config: &DecoderConfig, param: Param) -> Stored {
    stored(config, param, Layout::OUT_IN)
}

fn stored(config: &DecoderConfig, param: Param, of_experts: Layout) -> Stored {
    let n_experts = config.shape().experts.map_or(0, |experts| experts.n_experts);
    let of_expert = |expert: u32, name: &str, layout: Layout| Stored {
        name: bare(&format!("mlp.experts.{name}"), param),
        layout: layout.slab(expert as usize, n_experts),
    };
    match param.part {
        Part::ExpertGate(expert) => of_expert(expert, "gate_up_proj", of_experts.each_nth(0, 2)),
        Part::ExpertUp(expert) => of_expert(expert, "gate_up_proj", of_experts.each_nth(1, 2)),
        Part::ExpertDown(expert) => of_expert(expert, "down_proj", of_experts),
        Part::Sinks => Stored { name: bare("self_attn.sinks", param), layout: Layout::SAME },
        Part::Router => Stored { name: hf::full_name("model.layers", "mlp.router", param), layout: Layout::OUT_IN },
        _ => hf::stored(config, param),
    }
}

/// A name without `.weight`, and with `_bias` in place of `.bias`.
fn bare(name: &str, param: Param) -> String {
    let full = hf::full_name("model.layers", name, param);
    match full.strip_suffix(".weight") {
        Some(bare) => bare.to_owned(),
        None => full.strip_suffix(".bias").map(|bare| format!("{bare}_bias")).unwrap_or(full),
    }
}

/// A GGUF leaves the numbers of the gate, and that YaRN's places are not rounded, to the reader, and may leave the pattern of layers
/// to it.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    let mut config = gguf::with_experts(keys, file, norm, Weighting::Renormalized)?.with_sinks(AttentionSinks::Present);
    if let Mlp::Experts(experts) = &mut config.mlp {
        experts.activation = Activation::ClampedSwish { alpha: ALPHA, limit: LIMIT };
    }
    if let Position::Rotary(rope) = &mut config.position
        && let RopeScaling::Yarn(yarn) = &mut rope.scaling
    {
        yarn.truncate = false;
    }
    let layers = windows::in_gguf(keys, config.n_layers, PATTERN)?;
    let window = windows::window(keys.size_or_none("attention.sliding_window")?, layers, None)?;
    Ok(Recipe::gguf(config.with_sliding_window(window), stored_in_gguf))
}

/// The norm before the MLP has the name of one after attention.
fn stored_in_gguf(config: &DecoderConfig, param: Param) -> Stored {
    let part = if param.part == Part::MlpNorm { Part::AttnPostNorm } else { param.part };
    gguf::stored(config, Param { part, ..param })
}
