//! The curves that belong to no sweep: [`curves`].

use super::curves::{CURVES, SingleCurve};
use super::entry::CurveEntry;
use super::pattern::captured;

/// All curves that belong to no sweep.
pub fn curves() -> &'static [SingleCurve] {
    &CURVES
}

/// The entry of a name.
pub(super) fn find(name: &str) -> Option<CurveEntry> {
    CURVES.iter().find_map(|row| captured(row.name, name).map(|open| CurveEntry::of_single(row, open)))
}
