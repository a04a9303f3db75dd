//! Phi-1, 1.5 and 2: attention and MLP side by side after one norm, a part of each head rotated, a bias in the head.

use super::keys::{Keys, missing};
use super::{Layout, Recipe, Stored, gguf, hf, rope};
use crate::files::{GgufFile, TensorFiles};
use crate::param::{Param, Part};
use crate::{Activation, Bias, DecoderConfig, Mlp, Norm, QkNorm, Residual, Result};

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    let qk_norm = if keys.flag_or("qk_layernorm", false)? { QkNorm::PerHead } else { QkNorm::None };
    // The rotated fraction of a head must be given: transformers' default is a half.
    let nested = keys.object_or_none("rope_parameters")?;
    if !keys.has("partial_rotary_factor") && !nested.is_some_and(|nested| nested.has("partial_rotary_factor")) {
        return Err(missing("partial_rotary_factor"));
    }
    let d_head = hf::d_head(keys)?;
    let outer = rope::Outer::new(keys, d_head)?;
    let rope = rope::from_hf(keys, outer)?;
    let norm = Norm::Layer { eps: keys.number("layer_norm_eps")? };
    let activation = hf::activation(keys, "hidden_act", "gelu_new")?;
    let config = with_its_own(hf::common(keys, norm, rope)?).with_mlp(Mlp::Plain { activation }).with_qk_norm(qk_norm);
    Ok(Recipe::new(config, hf::PREFIX, stored_in_hf))
}

/// What every Phi has.
fn with_its_own(config: DecoderConfig) -> DecoderConfig {
    config
        .with_residual(Residual::ParallelSharedNorm)
        .with_mlp(Mlp::Plain { activation: Activation::GeluTanh })
        .with_biases(Bias::Present)
        .with_head_bias(Bias::Present)
}

fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let (name, layout) = match param.part {
        Part::FinalNorm => ("model.final_layernorm", Layout::SAME),
        Part::QueryNorm => ("self_attn.q_layernorm", Layout::SAME),
        Part::KeyNorm => ("self_attn.k_layernorm", Layout::SAME),
        Part::AttnOut => ("self_attn.dense", Layout::OUT_IN),
        Part::Up => ("mlp.fc1", Layout::OUT_IN),
        Part::Down => ("mlp.fc2", Layout::OUT_IN),
        _ => return hf::stored(config, param),
    };
    Stored { name: hf::full_name("model.layers", name, param), layout }
}

/// Older converters fuse query, key and value.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::layer_norm(keys)?;
    let config = with_its_own(gguf::common(keys, file, norm)?);
    let fused = file.shape("blk.0.attn_qkv.weight").is_some();
    Ok(Recipe::gguf(config, if fused { gguf::stored_fused } else { gguf::stored }))
}
