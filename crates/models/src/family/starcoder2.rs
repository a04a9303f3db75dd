//! StarCoder 2: LayerNorm, a plain MLP, biases everywhere, a window in every layer.

use super::keys::Keys;
use super::rope::{self, Outer};
use super::{Layout, Recipe, Stored, gguf, hf, windows};
use crate::files::GgufFile;
use crate::param::{Param, Part};
use crate::{Activation, DecoderConfig, Head, Mlp, Norm, Result};

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.dead(&["mlp_type", "norm_type", "attention_softmax_in_fp32", "scale_attention_softmax_in_fp32"]);
    keys.dead(&["scale_attn_weights", "rms_norm_eps"]);
    let d_head = hf::d_head(keys)?;
    let outer = Outer::new(keys, d_head)?;
    let rope = rope::whole_heads(keys, outer)?;
    let norm = Norm::Layer { eps: keys.number("norm_epsilon")? };
    let activation = hf::activation(keys, "hidden_act", "gelu_pytorch_tanh")?;
    let head = hf::head(keys, Head::Tied)?;
    let config = hf::common(keys, norm, rope)?
        .with_mlp(Mlp::Plain { activation })
        .with_head(head)
        .with_biases(keys.flag_or("use_bias", true)?.into());
    let window = windows::everywhere(keys, config.n_layers)?;
    Ok(Recipe::new(config.with_sliding_window(window), hf::PREFIX, stored_in_hf))
}

fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let name = match param.part {
        Part::Up => "mlp.c_fc",
        Part::Down => "mlp.c_proj",
        _ => return hf::stored(config, param),
    };
    Stored { name: hf::full_name("model.layers", name, param), layout: Layout::OUT_IN }
}

/// Converters leave out the window.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::layer_norm(keys)?;
    let config = gguf::common(keys, file, norm)?.with_mlp(Mlp::Plain { activation: Activation::GeluTanh });
    Ok(Recipe::gguf(config, gguf::stored))
}
