//! Nemotron and Minitron: LayerNorm with gains stored as their difference from one, squared ReLU, half of each head rotated.

use super::keys::Keys;
use super::rope::{self, Outer};
use super::{Layout, Recipe, Stored, gguf, hf};
use crate::files::GgufFile;
use crate::param::{Kind, Param};
use crate::{Activation, DecoderConfig, Mlp, Norm, Result};

/// The fraction of a head that is rotated, where a configuration does not say it.
const FRACTION: f64 = 0.5;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.dead(&["rope_percent", "rotary_percent", "normalization"]);
    let d_head = hf::d_head(keys)?;
    let outer = Outer { fraction: FRACTION, ..Outer::new(keys, d_head)? };
    let rope = rope::from_hf(keys, outer)?;
    let norm = Norm::Layer { eps: keys.number("norm_eps")? };
    let activation = hf::activation(keys, "hidden_act", "relu2")?;
    let config = hf::common(keys, norm, rope)?.with_mlp(Mlp::Plain { activation });
    let config = hf::with_attention_bias(config, keys)?.with_mlp_bias(keys.flag_or("mlp_bias", false)?.into());
    Ok(Recipe::new(config, hf::PREFIX, stored_in_hf))
}

fn stored_in_hf(config: &DecoderConfig, param: Param) -> Stored {
    let Stored { name, layout } = hf::stored(config, param);
    let is_gain = param.part.is_norm() && param.kind == Kind::Weight;
    Stored { name, layout: if is_gain { Layout::MINUS_ONE } else { layout } }
}

/// A GGUF holds the gains themselves.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::layer_norm(keys)?;
    let config = gguf::common(keys, file, norm)?.with_mlp(Mlp::Plain { activation: Activation::Relu2 });
    Ok(Recipe::gguf(config, gguf::stored))
}
