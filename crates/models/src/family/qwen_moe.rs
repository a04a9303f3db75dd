//! Qwen2-MoE (a shared expert beside the chosen ones), Qwen3-MoE (norms of queries and keys) and OLMoE (the same over all
//! heads).

use super::keys::Keys;
use super::{Recipe, gguf, hf, windows};
use crate::files::GgufFile;
use crate::{Bias, DecoderConfig, Experts, Mlp, QkNorm, Result, Weighting};

/// Layers below this one have a window, where a configuration does not say how many do.
const WINDOW_LAYERS: usize = 28;

pub(super) fn qwen2_from_hf(keys: &mut Keys) -> Result<Recipe> {
    let config = hf::llama_like(keys)?.with_qkv_bias(keys.flag_or("qkv_bias", true)?.into());
    let shared = keys.size("shared_expert_intermediate_size")?;
    let experts = experts(keys, &config)?.with_shared(shared);
    let n_layers = config.n_layers;
    let (is_on, size) = windows::switched_on(keys)?;
    let below = keys.size_or_none("max_window_layers")?.unwrap_or(WINDOW_LAYERS);
    let layers = windows::listed_or(keys, n_layers, || {
        windows::chosen(n_layers, |layer| is_on && layer.is_multiple_of(2) && layer < below)
    })?;
    let config = config.with_mlp(Mlp::Experts(experts)).with_sliding_window(windows::window(size, layers, None)?);
    Ok(Recipe::like_llama(config))
}

pub(super) fn qwen3_from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.dead(&["max_window_layers"]);
    keys.only("use_qk_norm", true)?;
    keys.only("shared_expert_intermediate_size", 0)?;
    let config = hf::llama_like(keys)?.with_qk_norm(QkNorm::PerHead);
    let config = hf::with_attention_bias(config, keys)?;
    let experts = experts(keys, &config)?;
    let (_, size) = windows::switched_on(keys)?;
    let layers = windows::chosen(config.n_layers, |_| size.is_some());
    let config = config.with_mlp(Mlp::Experts(experts)).with_sliding_window(windows::window(size, layers, None)?);
    Ok(Recipe::like_llama(config))
}

pub(super) fn olmoe_from_hf(keys: &mut Keys) -> Result<Recipe> {
    let clip = keys.number_or_none("clip_qkv")?;
    let config = hf::llama_like(keys)?.with_qk_norm(QkNorm::FullWidth).with_qkv_clip(clip);
    let config = hf::with_attention_bias(config, keys)?;
    let (n_experts, n_active) = (keys.size("num_experts")?, keys.size("num_experts_per_tok")?);
    let experts = Experts::new(n_experts, n_active, config.d_mlp)
        .with_activation(config.mlp.activation())
        .with_weighting(weighting(keys)?);
    Ok(Recipe::like_llama(config.with_mlp(Mlp::Experts(experts))))
}

/// The experts of both Qwens; a layer has none if it is listed, or if its number from 1 is no multiple of the step.
fn experts(keys: &mut Keys, config: &DecoderConfig) -> Result<Experts> {
    let n_experts = keys.size_of(&["num_experts", "num_local_experts"])?;
    let (n_active, d_expert) = (keys.size("num_experts_per_tok")?, keys.size("moe_intermediate_size")?);
    let step = keys.size_or_none("decoder_sparse_step")?.unwrap_or(1);
    let listed = keys.sizes_or_none("mlp_only_layers")?.unwrap_or_default();
    let is_dense = |layer: usize| listed.contains(&layer) || !(layer + 1).is_multiple_of(step);
    Ok(Experts::new(n_experts, n_active, d_expert)
        .with_activation(config.mlp.activation())
        .with_weighting(weighting(keys)?)
        .with_router_bias(Bias::Absent)
        .with_dense_layers(windows::chosen(config.n_layers, is_dense)))
}

fn weighting(keys: &mut Keys) -> Result<Weighting> {
    let renormalized = keys.flag_or("norm_topk_prob", false)?;
    Ok(if renormalized { Weighting::Renormalized } else { Weighting::Softmax })
}

pub(super) fn qwen2_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    Ok(Recipe::gguf(gguf::with_experts(keys, file, norm, Weighting::Softmax)?, gguf::stored))
}

pub(super) fn qwen3_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    let config = gguf::with_experts(keys, file, norm, Weighting::Renormalized)?.with_qk_norm(QkNorm::PerHead);
    Ok(Recipe::gguf(config, gguf::stored))
}

pub(super) fn olmoe_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    let clip = keys.number_or_none("attention.clamp_kqv")?;
    let config = gguf::with_experts(keys, file, norm, Weighting::Softmax)?.with_qk_norm(QkNorm::FullWidth);
    Ok(Recipe::gguf(config.with_qkv_clip(clip), gguf::stored))
}
