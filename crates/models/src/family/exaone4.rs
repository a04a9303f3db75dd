//! EXAONE 4: norms after sublayers and of queries and keys; where some layers have a window, the others have no rotary positions.

use super::keys::Keys;
use super::{Recipe, gguf, hf, windows};
use crate::files::GgufFile;
use crate::{DecoderConfig, NormPlacement, QkNorm, Result};

/// Each fourth layer sees everything, unless a configuration says otherwise.
const PATTERN: usize = 4;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    // transformers takes 4,096 if the key is absent, and no window if it is null; an absent key is refused here.
    keys.required("sliding_window")?;
    let config = hf::llama_like(keys)?;
    let (size, n_layers) = (keys.size_or_none("sliding_window")?, config.n_layers);
    let layers = match (windows::listed(keys, n_layers)?, size) {
        (Some(listed), _) => {
            keys.dead(&["sliding_window_pattern"]); // such as "LLLG", which the list says already
            listed
        }
        (None, None) => Vec::new(),
        (None, Some(_)) => {
            windows::patterned(n_layers, keys.size_or_none("sliding_window_pattern")?.unwrap_or(PATTERN))
        }
    };
    Ok(Recipe::like_llama(with_its_own(config, size, layers)?))
}

pub(super) fn from_gguf(keys: &mut Keys, file: &GgufFile) -> Result<Recipe> {
    let norm = gguf::rms(keys)?;
    let config = gguf::common(keys, file, norm)?;
    let size = keys.size_or_none("attention.sliding_window")?;
    let layers = if size.is_some() { windows::in_gguf(keys, config.n_layers, PATTERN)? } else { Vec::new() };
    Ok(Recipe::gguf(with_its_own(config, size, layers)?, gguf::stored))
}

/// What every EXAONE 4 has, with a window of this size on these layers.
fn with_its_own(config: DecoderConfig, size: Option<usize>, layers: Vec<usize>) -> Result<DecoderConfig> {
    let unrotated = if size.is_some() { windows::others(config.n_layers, &layers) } else { Vec::new() };
    Ok(config
        .with_norm_placement(NormPlacement::Post)
        .with_qk_norm(QkNorm::PerHead)
        .with_unrotated_layers(unrotated)
        .with_sliding_window(windows::window(size, layers, None)?))
}
