//! GLM-4: rotary pairs in a part of each head, gate and value fused; `glm4` has norms around each sublayer, `glm` before.

use super::keys::Keys;
use super::rope::{self, Outer};
use super::{Layout, Recipe, Stored, gguf, hf};
use crate::files::GgufFile;
use crate::param::{Param, Part};
use crate::{DecoderConfig, Mlp, NormPlacement, Result};

/// The fraction of a head that is rotated, where a configuration does not say it.
const FRACTION: f64 = 0.5;

pub(super) fn glm_from_hf(keys: &mut Keys) -> Result<Recipe> {
    Ok(Recipe::new(common(keys)?, hf::PREFIX, stored_in_hf))
}

pub(super) fn glm4_from_hf(keys: &mut Keys) -> Result<Recipe> {
    let config = common(keys)?.with_norm_placement(NormPlacement::Sandwich);
    Ok(Recipe::new(config, hf::PREFIX, stored_in_hf))
}

fn common(keys: &mut Keys) -> Result<DecoderConfig> {
    let d_head = keys.size("head_dim")?; // transformers' default is not d_model / n_heads
    let outer = Outer { fraction: FRACTION, ..Outer::new(keys, d_head)? };
    let rope = rope::from_hf(keys, outer)?;
    let norm = hf::rms(keys)?;
    let activation = hf::activation(keys, "hidden_act", "silu")?;
    let qkv_bias = keys.flag_or("attention_bias", true)?.into();
    Ok(hf::common(keys, norm, rope)?.with_mlp(Mlp::Gated { activation }).with_qkv_bias(qkv_bias))
}

fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let Stored { name, layout } = hf::stored_with_fused_gate(config, param);
    let layout = hf::in_rotary_pairs(layout, config, param.part);
    let name = match param.part {
        Part::AttnPostNorm => "post_self_attn_layernorm",
        Part::MlpPostNorm => "post_mlp_layernorm",
        _ => return Stored { name, layout },
    };
    Stored { name: hf::full_name("model.layers", name, param), layout: Layout::SAME }
}

/// Rows of queries and keys are in pairs as the checkpoint has them.
pub(super) fn glm4_from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    let config = gguf::common(keys, file, norm)?.with_norm_placement(NormPlacement::Sandwich);
    Ok(Recipe::gguf(config, stored_in_gguf))
}

fn stored_in_gguf(config: &DecoderConfig, param: Param) -> Stored {
    gguf::with_fused_gate(gguf::stored_in_pairs(config, param), param)
}
