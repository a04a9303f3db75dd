//! Activation patching: sweeps that take activations from another run.

use stratigraph_core::{ActivationCache, CoreError, Edit, EditValues, Hook, Positions};
use stratigraph_profile::Axis;

use super::{Sweep, SweepPoints};
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

    /// `patch_z_heads` and so on: each head's activation at every position taken from another run, over layers and heads.
    /// Keys and values have a point for each key and value head.
    ///
    /// # Errors
    /// When the cache holds no activation of the hook. A hook without heads is refused when the sweep runs.
    pub fn patch_heads(hook: Hook, cache: &ActivationCache) -> Result<Self> {
        let values = cached(hook, cache)?;
        Ok(Self::new(format!("{}_heads", patch_name(hook)), move |context| {
            let n_layers = context.shape.n_layers;
            let n_heads = context.shape.n_heads_at(hook).unwrap_or(0);
            let points = (0..n_layers).flat_map(|layer| (0..n_heads).map(move |head| (layer, head)));
            let edits = points.map(|(layer, head)| {
                Ok(Edit::patch(hook.at(layer), layer_values(hook, &values, layer)?).with_heads([head]))
            });
            SweepPoints::new(context, [Axis::layers(n_layers), Axis::heads(n_heads)], edits)
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
