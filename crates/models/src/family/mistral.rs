//! Mistral 7B and its like: Llama's shape, with a sliding window in every layer of the first version.

use super::keys::{Keys, missing};
use super::{Recipe, hf, windows};
use crate::{DecoderConfig, Mlp, Result};

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    // transformers takes 4,096 if the key is absent, and no window if it is null; an absent key is refused here.
    if !keys.has("sliding_window") {
        return Err(missing("sliding_window"));
    }
    let size = keys.size_or_none("sliding_window")?;
    let config = hf::llama_like(keys)?;
    let layers = windows::chosen(config.n_layers, |_| size.is_some());
    let config = DecoderConfig {
        mlp: Mlp::Gated { activation: hf::activation(keys, "hidden_act", "silu")? },
        sliding_window: windows::window(size, layers, None)?,
        ..config
    };
    Ok(Recipe::hf(config, hf::PREFIX, hf::stored, hf::ignorable))
}
