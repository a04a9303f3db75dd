//! Phi-3 and Phi-4: Llama's shape with fused tensors, a part of each head rotated in some, and frequencies for long windows.

use super::keys::{Keys, unsupported};
use super::rope::{self, Outer};
use super::{Recipe, Stored, gguf, hf, windows};
use crate::files::GgufFile;
use crate::param::Param;
use crate::{DecoderConfig, Mlp, Result};

/// The context of the first training, where a configuration does not name it.
const ORIGINAL_N_CTX: usize = 4096;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.dead(&["attention_bias", "mlp_bias", "lm_head_bias", "full_attn_mod", "interpolate_factor"]);
    let d_head = hf::d_head(keys)?;
    let outer = Outer { original_n_ctx: Some(ORIGINAL_N_CTX), ..Outer::new(keys, d_head)? };
    for key in ["rope_parameters", "rope_scaling"] {
        let Some(mut nested) = keys.object_or_none(key)? else { continue };
        for name in ["rope_type", "type"] {
            if nested.text_or_none(name)?.as_deref() == Some("yarn") {
                let reason = "transformers reads it as longrope in this family; name it so";
                return Err(unsupported(&format!("{key}.{name}"), "yarn", reason));
            }
        }
    }
    let rope = rope::from_hf(keys, outer)?;
    let norm = hf::rms(keys)?;
    let activation = hf::activation(keys, "hidden_act", "silu")?;
    let config = hf::common(keys, norm, rope)?.with_mlp(Mlp::Gated { activation });
    let window = windows::everywhere(keys, config.n_layers)?;
    Ok(Recipe::new(config.with_sliding_window(window), hf::PREFIX, stored_in_hf))
}

/// All queries, all keys and all values in one tensor, and gate and value in another.
fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    match hf::fused_qkv(config, param.part) {
        Some(layout) => Stored { name: hf::full_name("model.layers", "self_attn.qkv_proj", param), layout },
        None => hf::stored_with_fused_gate(config, param),
    }
}

/// A window of 0 is none.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    let config = gguf::common(keys, file, norm)?;
    let size = keys.size_or_none("attention.sliding_window")?.filter(|size| *size > 0);
    let window = windows::window(size, windows::chosen(config.n_layers, |_| size.is_some()), None)?;
    Ok(Recipe::gguf(config.with_sliding_window(window), stored_in_gguf))
}

fn stored_in_gguf(config: &DecoderConfig, param: Param) -> Stored {
    gguf::with_fused_gate(gguf::stored_fused(config, param), param)
}
