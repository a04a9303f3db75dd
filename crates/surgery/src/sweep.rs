//! The usual families of plans, each over a model of `n_layers` layers.

use stratigraph_core::Sublayer;

use crate::{Ablation, LayerPlan};

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

/// Every block of `n_blocks` neighbouring layers with each of its layers run twice in a row, `l l l+1 l+1 ..`:
/// `n_layers - n_blocks + 1` plans, none when the model has fewer layers or a block has none.
pub fn repeat_each(n_layers: usize, n_blocks: usize) -> Vec<LayerPlan> {
    let full = LayerPlan::full(n_layers);
    let starts = if n_blocks == 0 { 0..0 } else { 0..(n_layers + 1).saturating_sub(n_blocks) };
    starts.map(|start| full.repeat(start..start + n_blocks).expect("the layers exist")).collect()
}

/// Each layer without one half: what `deleted` writes is left out, the other half runs; `n_layers` plans.
pub fn delete_each_half(n_layers: usize, deleted: Sublayer) -> Vec<LayerPlan> {
    let kept = match deleted {
        Sublayer::Attention => Sublayer::Mlp,
        Sublayer::Mlp => Sublayer::Attention,
    };
    let full = LayerPlan::full(n_layers);
    (0..n_layers).map(|layer| full.only(layer, kept).expect("the layer exists")).collect()
}

/// Each layer with what one half writes replaced; `n_layers` plans.
pub fn ablate_each(n_layers: usize, half: Sublayer, ablation: Ablation) -> Vec<LayerPlan> {
    let full = LayerPlan::full(n_layers);
    (0..n_layers).map(|layer| full.ablate(layer, half, ablation).expect("the layer exists")).collect()
}
