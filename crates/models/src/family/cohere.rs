//! Cohere's Command R (`cohere`) and Command R7B (`cohere2`): sublayers side by side after one LayerNorm without bias,
//! rotary pairs, scaled logits; `cohere2` has windows, and no rotation in the layers that see everything.

use super::keys::Keys;
use super::rope::{self, Outer};
use super::{Layout, Recipe, Stored, gguf, hf, windows};
use crate::files::{GgufFile, TensorFiles};
use crate::param::{Param, Part};
use crate::{Activation, DecoderConfig, Head, Mlp, Norm, QkNorm, Residual, Result};

/// The rotary base of `cohere`, where a configuration names none.
const BASE: f64 = 500_000.0;
/// The factor of the logits, where a configuration names none.
const LOGIT_SCALE: f64 = 0.0625;
/// Each fourth layer of `cohere2` sees everything, unless a configuration says otherwise.
const PATTERN: usize = 4;
/// Keys of the first checkpoints, which transformers does not read.
const DEAD: [&str; 8] = [
    "layer_switch",
    "order_of_interleaved_layers",
    "position_embedding_type",
    "rotary_pct",
    "use_embedding_sharing",
    "use_gated_activation",
    "use_parallel_block",
    "use_parallel_embedding",
];

pub(super) fn cohere_from_hf(keys: &mut Keys) -> Result<Recipe> {
    let config = common(keys, BASE)?;
    let qk_norm = if keys.flag_or("use_qk_norm", false)? { QkNorm::EachHead } else { QkNorm::None };
    Ok(Recipe::new(config.with_qk_norm(qk_norm), hf::PREFIX, stored_in_hf))
}

pub(super) fn cohere2_from_hf(keys: &mut Keys) -> Result<Recipe> {
    let config = common(keys, rope::USUAL_BASE)?;
    let pattern = keys.size_or_none("sliding_window_pattern")?.unwrap_or(PATTERN);
    let layers = windows::listed_or(keys, config.n_layers, || windows::patterned(config.n_layers, pattern))?;
    let unrotated = windows::others(config.n_layers, &layers);
    let size = keys.size_or_none("sliding_window")?;
    let window = windows::window(size, layers, None)?;
    let config = config.with_unrotated_layers(unrotated).with_sliding_window(window);
    Ok(Recipe::new(config, hf::PREFIX, stored_in_hf))
}

fn common(keys: &mut Keys, base: f64) -> Result<DecoderConfig> {
    keys.dead(&DEAD);
    let d_head = hf::d_head(keys)?;
    let outer = Outer { base, ..Outer::new(keys, d_head)? };
    let rope = rope::whole_heads(keys, outer)?;
    let norm = Norm::LayerWithoutBias { eps: keys.number("layer_norm_eps")? };
    let activation = hf::activation(keys, "hidden_act", "silu")?;
    let head = hf::head(keys, Head::Tied)?;
    let config = hf::common(keys, norm, rope)?
        .with_mlp(Mlp::Gated { activation })
        .with_residual(Residual::ParallelSharedNorm)
        .with_logit_scale(keys.number_or_none("logit_scale")?.unwrap_or(LOGIT_SCALE))
        .with_head(head);
    hf::with_attention_bias(config, keys)
}

/// Heads are in rotary pairs, and the gains of each head's norm are a row.
fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let of_head = |name: &str, head: u32, n_heads: usize| Stored {
        name: hf::full_name("model.layers", name, param),
        layout: Layout::SAME.rotary_pairs(1).slab(head as usize, n_heads),
    };
    let Stored { name, layout } = match param.part {
        Part::HeadQueryNorm(head) => return of_head("self_attn.q_norm", head, config.n_heads),
        Part::HeadKeyNorm(head) => return of_head("self_attn.k_norm", head, config.n_kv_heads),
        _ => hf::stored(config, param),
    };
    // Layers without rotation have the same order of rows, which changes nothing there.
    Stored { name, layout: hf::in_rotary_pairs(layout, config, param.part) }
}

/// Rows of queries, keys and their norms are in pairs as the checkpoint has them.
pub(super) fn cohere_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    Ok(Recipe::gguf(common_in_gguf(keys, file)?, stored_in_gguf))
}

/// A GGUF may leave the pattern of layers to the reader.
pub(super) fn cohere2_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let config = common_in_gguf(keys, file)?;
    let layers = windows::in_gguf(keys, config.n_layers, PATTERN)?;
    let unrotated = windows::others(config.n_layers, &layers);
    let window = windows::window(keys.size_or_none("attention.sliding_window")?, layers, None)?;
    Ok(Recipe::gguf(config.with_unrotated_layers(unrotated).with_sliding_window(window), stored_in_gguf))
}

/// What both have in a GGUF.
fn common_in_gguf(keys: &mut Keys, file: &GgufFile) -> Result<DecoderConfig> {
    let norm = Norm::LayerWithoutBias { eps: keys.number("attention.layer_norm_epsilon")? };
    let has_norms = file.shape("blk.0.attn_q_norm.weight").is_some();
    let logit_scale = keys.number("logit_scale")?;
    Ok(gguf::common(keys, file, norm)?
        .with_mlp(Mlp::Gated { activation: Activation::Silu })
        .with_residual(Residual::ParallelSharedNorm)
        .with_logit_scale(logit_scale)
        .with_qk_norm(if has_norms { QkNorm::EachHead } else { QkNorm::None }))
}

fn stored_in_gguf(config: &DecoderConfig, param: Param) -> Stored {
    let Stored { name, layout } = gguf::stored_in_pairs(config, param);
    let is_norm = matches!(param.part, Part::HeadQueryNorm(_) | Part::HeadKeyNorm(_));
    Stored { name, layout: if is_norm { layout.rotary_pairs(1) } else { layout } }
}
