//! StableLM 2 and 3B: LayerNorm, a part of each head rotated; the 12B has parallel sublayers and a norm for each head.

use super::keys::Keys;
use super::rope::{self, Outer};
use super::{Recipe, gguf, hf};
use crate::files::{GgufFile, TensorFiles};
use crate::{Mlp, Norm, QkNorm, Residual, Result};

/// The fraction of a head that is rotated, where a configuration does not say it.
const FRACTION: f64 = 0.25;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    let d_head = hf::d_head(keys)?;
    let outer = Outer { fraction: FRACTION, ..Outer::new(keys, d_head)? };
    let rope = rope::from_hf(keys, outer)?;
    let norm = Norm::Layer { eps: keys.number("layer_norm_eps")? };
    let activation = hf::activation(keys, "hidden_act", "silu")?;
    let residual = residual(keys)?;
    let config = hf::common(keys, norm, rope)?
        .with_mlp(Mlp::Gated { activation })
        .with_residual(residual)
        .with_qk_norm(if keys.flag_or("qk_layernorm", false)? { QkNorm::EachHead } else { QkNorm::None })
        .with_qkv_bias(keys.flag_or("use_qkv_bias", false)?.into());
    keys.dead(&["norm_eps", "rotary_scaling_factor"]);
    Ok(Recipe::like_llama(config))
}

fn residual(keys: &mut Keys) -> Result<Residual> {
    let parallel = keys.flag_or("use_parallel_residual", false)?;
    Ok(if parallel { Residual::ParallelSharedNorm } else { Residual::Sequential })
}

pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::layer_norm(keys)?;
    let residual = residual(keys)?;
    let has_norms = file.shape("blk.0.attn_q_norm.weight").is_some();
    let config = gguf::common(keys, file, norm)?.with_residual(residual).with_qk_norm(if has_norms {
        QkNorm::EachHead
    } else {
        QkNorm::None
    });
    Ok(Recipe::gguf(config, gguf::stored))
}
