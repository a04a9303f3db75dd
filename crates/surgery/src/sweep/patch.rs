//! Activation patching: sweeps that take activations from another run.

use stratigraph_core::{ActivationCache, CoreError, Edit, EditValues, Hook, Positions};

use super::Sweep;
use crate::Result;

impl Sweep {
    /// `patch_resid_pre` and so on: each layer's activation at each position taken from another run, over layers and
    /// positions. The cache holds one window as long as those that run, or each window of the corpus.
    ///
    /// # Errors
    /// When the cache holds no activation of the hook.
    pub fn patch(hook: Hook, cache: &ActivationCache) -> Result<Self> {
        let values = cached(hook, cache)?;
        Ok(Self::each_position(patch_name(hook), move |layer, position| {
            let values = layer_values(hook, &values, layer)?;
            Ok(Edit::patch(hook.at(layer), values).with_positions(Positions::only([position])))
        }))
    }

    /// `patch_attn_out_layers` and so on: each layer's activation at every position taken from another run.
    ///
    /// # Errors
    /// When the cache holds no activation of the hook.
    pub fn patch_layers(hook: Hook, cache: &ActivationCache) -> Result<Self> {
        let values = cached(hook, cache)?;
        Ok(Self::each_layer(format!("{}_layers", patch_name(hook)), move |_, layer| {
            Ok(Edit::patch(hook.at(layer), layer_values(hook, &values, layer)?))
        }))
    }
}

fn patch_name(hook: Hook) -> String {
    let name = hook.name().rsplit('.').next().unwrap_or(hook.name());
    format!("patch_{}", name.trim_start_matches("hook_"))
}

/// The activations of a hook, by slot; each is hashed once.
fn cached(hook: Hook, cache: &ActivationCache) -> Result<Vec<(usize, EditValues)>> {
    let points = cache.points().filter(|point| point.hook == hook);
    let values = points.map(|point| Ok((point.slot, EditValues::from(cache.activation(point)?))));
    let values = values.collect::<Result<Vec<_>>>()?;
    if values.is_empty() {
        return Err(CoreError::NotCached { point: hook.at(0) }.into());
    }
    Ok(values)
}

fn layer_values(hook: Hook, values: &[(usize, EditValues)], layer: usize) -> Result<EditValues> {
    let found = values.iter().find(|(slot, _)| *slot == layer);
    let missing = CoreError::NotCached { point: hook.at(layer) };
    found.map(|(_, values)| values.clone()).ok_or(missing.into())
}
