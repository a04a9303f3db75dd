//! The curves that belong to no sweep: [`curves`].

use std::sync::LazyLock;

use super::curves::{CURVES, SingleCurve};
use super::derived::DERIVED;
use super::effects::EFFECTS;
use super::entry::CurveEntry;
use super::geometry_curves::GEOMETRY_CURVES;
use super::lenses::GUESSES;
use super::neuron_curves::NEURON_CURVES;
use super::patching::PATCHING;
use super::pattern::captured;
use super::removals::CRITERIA;

static ALL: LazyLock<Vec<SingleCurve>> = LazyLock::new(|| {
    let all: [&[SingleCurve]; 8] =
        [&CURVES, &GEOMETRY_CURVES, &NEURON_CURVES, &DERIVED, &EFFECTS, &PATCHING, &GUESSES, &CRITERIA];
    all.concat()
});

/// All curves that belong to no sweep.
pub fn curves() -> &'static [SingleCurve] {
    &ALL
}

/// The entry of a name.
pub(super) fn find(name: &str) -> Option<CurveEntry> {
    curves().iter().find_map(|row| captured(row.name, name).map(|open| CurveEntry::of_single(row, open)))
}
