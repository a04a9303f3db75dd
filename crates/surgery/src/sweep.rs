//! The usual families of plans, each over a model of `n_layers` layers.

use crate::LayerPlan;

/// `delete l` for every layer `l`: `n_layers` plans.
pub fn delete_each(n_layers: usize) -> Vec<LayerPlan> {
    let full = LayerPlan::full(n_layers);
    (0..n_layers).map(|layer| full.delete(layer).expect("the layer exists")).collect()
}

/// `swap l` for every layer `l` that has a next one: layers `l` and `l + 1` in the other order; `n_layers - 1` plans.
pub fn swap_adjacent(n_layers: usize) -> Vec<LayerPlan> {
    let full = LayerPlan::full(n_layers);
    (1..n_layers).map(|layer| full.swap(layer - 1, layer).expect("both layers exist")).collect()
}

/// The first `l` layers alone, for `l` from none to all: `n_layers + 1` plans, whose residual streams a lens reads.
///
/// The last of them is the model as it is.
pub fn prefixes(n_layers: usize) -> Vec<LayerPlan> {
    (0..=n_layers).map(LayerPlan::full).collect()
}
