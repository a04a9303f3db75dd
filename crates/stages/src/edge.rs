//! A first or last stage of one layer, which may be no more than a first or last layer: [`edge_effect`].

use stratigraph_profile::{EdgeEffect, Stage};

use crate::path::Run;
use crate::reading::{View, Views};
use crate::standard::REMOVAL;

/// Part of full strength below which a curve is neither for nor against.
const UNCLEAR: f64 = 0.1;
/// Part of full strength from which a curve is clearly for.
const CLEAR: f64 = 0.5;
/// How many groups besides removal have to be for a stage of one layer.
const AGREE: usize = 2;

/// Why a stage of one layer at an end is the layer's own: the first layer of any network reads embeddings and the last one writes
/// logits, so that it cannot be removed. It is a stage if two groups of signals besides removal are for it, more than are
/// against it, and a signal that is characteristic of the stage is clearly for it.
pub(crate) fn edge_effect(views: &Views, run: &Run) -> Option<EdgeEffect> {
    let (layer, stage) = (run.first, Stage::ALL[run.stage]);
    let is_end = layer == 0 || run.end == views.n_layers;
    if !is_end || run.end - run.first != 1 || views.n_layers == 1 {
        return None;
    }
    let concerns = |view: &&View| view.signal.group() != REMOVAL && is_sign_of(view, stage);
    let groups = |of: &dyn Fn(f64) -> bool| {
        let shown = views.heard().filter(concerns).filter(|view| of(view.shown[layer]));
        let mut groups: Vec<&str> = shown.map(|view| view.signal.group()).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    };
    let (agree, against) = (groups(&|shown| shown > UNCLEAR), groups(&|shown| shown < -UNCLEAR));
    let told = views.heard().filter(concerns);
    let mut told = told.filter(|view| view.signal.kind.characteristic_of.contains(&stage));
    let is_told = told.any(|view| view.shown[layer] >= CLEAR);
    if agree.len() >= AGREE && agree.len() > against.len() && is_told {
        return None;
    }
    let which = if layer == 0 { "first" } else { "last" };
    let listed = |names: &[&str]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let reason = format!(
        "one layer at the end of the network is the {which} layer's own, unless signals other than removal agree; for the stage: \
         {}; against it: {}",
        listed(&agree),
        listed(&against)
    );
    Some(EdgeEffect { layer, stage, reason })
}

/// Whether a signal is a sign of a stage: its layers show it more often than those of some other stage.
fn is_sign_of(view: &View, stage: Stage) -> bool {
    use crate::Expected::{Always, Often};
    matches!(view.signal.kind.expected(stage), Always | Often)
}
