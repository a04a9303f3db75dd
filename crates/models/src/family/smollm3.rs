//! SmolLM3: Llama's shape, with layers that do not rotate queries and keys.

use super::keys::{Keys, unsupported};
use super::{Recipe, gguf, hf, windows};
use crate::files::GgufFile;
use crate::{Head, Result};

/// The rotary base, where a configuration names none.
const BASE: f64 = 2_000_000.0;
/// Each fourth layer is not rotated, unless a configuration says otherwise.
const INTERVAL: usize = 4;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    keys.dead(&["pretraining_tp", "max_window_layers"]);
    let head = hf::head(keys, Head::Tied)?;
    let config = hf::llama_like_with(keys, BASE)?.with_head(head);
    let config = hf::with_attention_bias(config, keys)?;
    let config = config.with_mlp_bias(keys.flag_or("mlp_bias", false)?.into());
    let n_layers = config.n_layers;
    let interval = keys.size_or_none("no_rope_layer_interval")?.unwrap_or(INTERVAL);
    // In the list 1 is a layer that rotates.
    let unrotated = match keys.sizes_or_none("no_rope_layers")? {
        Some(listed) if listed.len() == n_layers => windows::chosen(n_layers, |layer| listed[layer] == 0),
        Some(listed) => {
            let reason = "there must be one for each layer";
            return Err(unsupported("no_rope_layers", format!("({} entries)", listed.len()), reason));
        }
        None => windows::chosen(n_layers, |layer| (layer + 1).is_multiple_of(interval)),
    };
    let has_window = keys.flag_or("use_sliding_window", false)?;
    let size = keys.size_or_none("sliding_window")?;
    let layers = match windows::listed(keys, n_layers)? {
        Some(listed) => listed,
        None if has_window && size.is_some() => unrotated.clone(),
        None => Vec::new(),
    };
    let window = windows::window(size, layers, None)?;
    let config = config.with_unrotated_layers(unrotated).with_sliding_window(window);
    Ok(Recipe::like_llama(config))
}

/// With rows of queries and keys permuted as Llama's; a GGUF leaves the pattern of layers to the reader.
pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    let config = gguf::common(keys, file, norm)?;
    keys.only("rope.dimension_count", config.d_head)?;
    let unrotated = windows::chosen(config.n_layers, |layer| (layer + 1).is_multiple_of(INTERVAL));
    Ok(Recipe::gguf(config.with_unrotated_layers(unrotated), gguf::stored_in_pairs))
}
