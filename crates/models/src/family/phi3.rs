//! Phi-3 and Phi-4: Llama's shape with fused tensors, a part of each head rotated in some, and frequencies for long windows.

use super::keys::Keys;
use super::rope::{self, Outer};
use super::{Layout, Recipe, Stored, hf, windows};
use crate::param::{Param, Part};
use crate::{DecoderConfig, Mlp, Result};

/// The context of the first training, where a configuration does not name it.
const ORIGINAL_N_CTX: usize = 4096;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.dead(&["attention_bias", "mlp_bias", "lm_head_bias", "full_attn_mod", "interpolate_factor"]);
    let d_head = hf::d_head(keys)?;
    let outer = Outer { original_n_ctx: Some(ORIGINAL_N_CTX), ..Outer::new(keys, d_head)? };
    let rope = rope::from_hf(keys, outer)?;
    let norm = hf::rms(keys)?;
    let activation = hf::activation(keys, "hidden_act", "silu")?;
    let config = hf::common(keys, norm, rope)?.with_mlp(Mlp::Gated { activation });
    let window = windows::everywhere(keys, config.n_layers)?;
    Ok(Recipe::new(config.with_sliding_window(window), hf::PREFIX, stored_in_hf))
}

/// All queries, all keys and all values in one tensor, and gate and value in another.
fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let DecoderConfig { n_heads, n_kv_heads, d_head, .. } = *config;
    let start = match param.part {
        Part::Query => 0,
        Part::Key => n_heads * d_head,
        Part::Value => (n_heads + n_kv_heads) * d_head,
        _ => return hf::stored_with_fused_gate(config, param),
    };
    let layout = Layout::OUT_IN.in_groups(1, (n_heads + 2 * n_kv_heads) * d_head, start);
    Stored { name: hf::full_name("model.layers", "self_attn.qkv_proj", param), layout }
}
