//! Which layers have a sliding window, from the several forms that configurations use.

use serde_json::Value;

use super::keys::{Keys, missing, unsupported};
use crate::config::MOST_LAYERS;
use crate::{Result, Rope, SlidingWindow};

/// The layers that `layer_types` calls sliding; `None` when the configuration has no such list.
pub(super) fn listed(keys: &mut Keys, n_layers: usize) -> Result<Option<Vec<usize>>> {
    let Some(types) = keys.texts_or_none("layer_types")? else { return Ok(None) };
    if types.len() != n_layers {
        return Err(unsupported(
            "layer_types",
            format!("({} entries)", types.len()),
            "there must be one for each layer",
        ));
    }
    let mut sliding = Vec::new();
    for (layer, kind) in types.iter().enumerate() {
        match kind.as_str() {
            "full_attention" => {}
            "sliding_attention" => sliding.push(layer),
            other => return Err(unsupported("layer_types", other, "known: full_attention, sliding_attention")),
        }
    }
    Ok(Some(sliding))
}

/// The layers that `layer_types` calls sliding, or those of `usual` when the configuration has no such list.
pub(super) fn listed_or(keys: &mut Keys, n_layers: usize, usual: impl FnOnce() -> Vec<usize>) -> Result<Vec<usize>> {
    Ok(listed(keys, n_layers)?.unwrap_or_else(usual))
}

/// The layers with a window, by a GGUF: it lists them, or gives a number `n` of layers of which the last has none, or says nothing;
/// `n` is `usual` then.
pub(super) fn in_gguf(keys: &mut Keys, n_layers: usize, usual: usize) -> Result<Vec<usize>> {
    const KEY: &str = "attention.sliding_window_pattern";
    if let Some(Value::Array(listed)) = keys.get(KEY) {
        let flags: Option<Vec<bool>> = listed.iter().map(Value::as_bool).collect();
        return match flags.filter(|flags| flags.len() == n_layers) {
            Some(flags) => Ok(chosen(n_layers, |layer| flags[layer])),
            None => {
                let value = format!("({} entries)", listed.len());
                Err(unsupported(KEY, value, "there must be true or false for each layer"))
            }
        };
    }
    Ok(patterned(n_layers, keys.size_or_none(KEY)?.unwrap_or(usual)))
}

/// All layers but the last of every `pattern`.
pub(super) fn patterned(n_layers: usize, pattern: usize) -> Vec<usize> {
    chosen(n_layers, |layer| !(layer + 1).is_multiple_of(pattern))
}

/// The layers that are not among some, which are in rising order.
pub(super) fn others(n_layers: usize, layers: &[usize]) -> Vec<usize> {
    chosen(n_layers, |layer| layers.binary_search(&layer).is_err())
}

/// A window in every layer if the configuration gives its size, and none if the size is absent or null.
pub(super) fn everywhere(keys: &mut Keys, n_layers: usize) -> Result<Option<SlidingWindow>> {
    let size = keys.size_or_none("sliding_window")?;
    window(size, chosen(n_layers, |_| size.is_some()), None)
}

/// Whether `use_sliding_window` switches windows on, and how large they then are. transformers takes 4,096 if the size is absent, which
/// is refused here.
pub(super) fn switched_on(keys: &mut Keys) -> Result<(bool, Option<usize>)> {
    let is_on = keys.flag_or("use_sliding_window", false)?;
    if is_on {
        keys.required("sliding_window")?;
    }
    Ok((is_on, keys.size_or_none("sliding_window")?.filter(|_| is_on)))
}

/// The layers for which `has_window` holds.
pub(super) fn chosen(n_layers: usize, has_window: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..n_layers.min(MOST_LAYERS + 1)).filter(|layer| has_window(*layer)).collect() // one too many is refused later
}

/// A window of the size that the key gives, on `layers`; `None` when there are none.
pub(super) fn window(size: Option<usize>, layers: Vec<usize>, rope: Option<Rope>) -> Result<Option<SlidingWindow>> {
    if layers.is_empty() {
        return Ok(None);
    }
    let size = size.ok_or_else(|| missing("sliding_window"))?;
    Ok(Some(SlidingWindow { size, layers, rope }))
}
