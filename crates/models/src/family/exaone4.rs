//! EXAONE 4: norms behind sublayers and of queries and keys; where some layers have a window, the others do not rotate.

use super::keys::Keys;
use super::{Recipe, hf, windows};
use crate::{NormPlacement, QkNorm, Result};

/// Each fourth layer sees everything, unless a configuration says otherwise.
const PATTERN: usize = 4;

pub(super) fn from_hf(keys: &mut Keys) -> Result<Recipe> {
    let config = hf::llama_like(keys)?.with_norm_placement(NormPlacement::Post).with_qk_norm(QkNorm::PerHead);
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
    let unrotated = if size.is_some() { windows::others(n_layers, &layers) } else { Vec::new() };
    let window = windows::window(size, layers, None)?;
    let config = config.with_unrotated_layers(unrotated).with_sliding_window(window);
    Ok(Recipe::like_llama(config))
}
