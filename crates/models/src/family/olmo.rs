//! OLMo 1 (LayerNorms without weights, clipped queries, keys and values), OLMo 2 (norms after sublayers, and of queries and
//! keys over all heads) and OLMo 3 (a window in three of four layers).

use super::keys::Keys;
use super::rope::{self, Outer};
use super::{Recipe, gguf, hf, windows};
use crate::files::GgufFile;
use crate::{Activation, DecoderConfig, Mlp, Norm, NormPlacement, QkNorm, Result, Rope, RopeScaling};

/// The epsilon of OLMo 1, which no configuration names.
const EPS: f64 = 1e-5;
/// The base of OLMo 3, where a configuration names none.
const OLMO3_BASE: f64 = 500_000.0;
/// Each fourth layer of OLMo 3 sees everything, unless a configuration says otherwise.
const OLMO3_PATTERN: usize = 4;

pub(super) fn olmo_from_hf(keys: &mut Keys) -> Result<Recipe> {
    let d_head = hf::d_head(keys)?;
    let outer = Outer::new(keys, d_head)?;
    let rope = rope::whole_heads(keys, outer)?;
    let activation = hf::activation(keys, "hidden_act", "silu")?;
    let config = hf::common(keys, Norm::LayerWithoutWeights { eps: EPS }, rope)?
        .with_mlp(Mlp::Gated { activation })
        .with_qkv_clip(keys.number_or_none("clip_qkv")?);
    Ok(Recipe::like_llama(hf::with_attention_bias(config, keys)?))
}

pub(super) fn olmo2_from_hf(keys: &mut Keys) -> Result<Recipe> {
    let config = hf::llama_like(keys)?;
    Ok(Recipe::like_llama(hf::with_attention_bias(with_norms_behind(config), keys)?))
}

pub(super) fn olmo3_from_hf(keys: &mut Keys) -> Result<Recipe> {
    let d_head = hf::d_head(keys)?;
    let sliding = Outer { base: OLMO3_BASE, ..Outer::new(keys, d_head)? };
    // The older form of the base is for layers that see everything; of the original context transformers reads what is inside
    // the objects alone.
    let full = Outer { original_n_ctx: None, ..sliding.read(keys)? };
    let ropes = rope::by_kind_of_layer(keys, full, sliding)?;
    let norm = hf::rms(keys)?;
    let activation: Activation = hf::activation(keys, "hidden_act", "silu")?;
    let config = hf::common(keys, norm, ropes.full)?.with_mlp(Mlp::Gated { activation });
    let layers = windows::listed_or(keys, config.n_layers, || windows::patterned(config.n_layers, OLMO3_PATTERN))?;
    let size = keys.size_or_none("sliding_window")?;
    let config = config.with_sliding_window(windows::window(size, layers, Some(ropes.sliding))?);
    Ok(Recipe::like_llama(hf::with_attention_bias(with_norms_behind(config), keys)?))
}

fn with_norms_behind(config: DecoderConfig) -> DecoderConfig {
    config.with_norm_placement(NormPlacement::Post).with_qk_norm(QkNorm::FullWidth)
}

/// With rows of queries and keys permuted as Llama's.
pub(super) fn olmo_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = Norm::LayerWithoutWeights { eps: keys.number("attention.layer_norm_epsilon")? };
    let clip = keys.number_or_none("attention.clamp_kqv")?;
    let config = gguf::common(keys, file, norm)?.with_qkv_clip(clip);
    keys.only("rope.dimension_count", config.d_head)?;
    Ok(Recipe::gguf(config, gguf::stored_in_pairs))
}

/// OLMo 3 comes under the same architecture. It is the one with windows, and only its layers that see everything scale their rotation.
pub(super) fn olmo2_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    let config = with_norms_behind(gguf::common(keys, file, norm)?);
    let size = keys.size_or_none("attention.sliding_window")?;
    let layers = if size.is_some() { windows::in_gguf(keys, config.n_layers, OLMO3_PATTERN)? } else { Vec::new() };
    let base = keys.number_or_none("rope.freq_base_swa")?;
    let unscaled = |rope: &Rope| Rope { base: base.unwrap_or(rope.base), scaling: RopeScaling::None, ..rope.clone() };
    let window = windows::window(size, layers, config.position.rope().map(unscaled))?;
    Ok(Recipe::gguf(config.with_sliding_window(window), gguf::stored))
}
