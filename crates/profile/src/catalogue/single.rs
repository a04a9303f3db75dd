//! The curves that belong to no sweep: [`SingleCurve`].

use super::curves::CURVES;
use super::entry::{AxisKind, CurveEntry};
use super::pattern::captured;
use crate::{Scale, Unit};

/// A row of the table of curves that belong to no sweep; `{n}` stands for a number.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SingleCurve {
    /// The name under which it is kept.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// A few words for a legend or the head of a line.
    pub label: &'static str,
    /// What is measured, for the side of a plot.
    pub quantity: &'static str,
    /// What it is measured in.
    pub unit: Unit,
    /// How it is drawn.
    pub scale: Scale,
    /// What it runs over.
    pub axis: AxisKind,
    /// The group of curves it belongs to.
    pub group: &'static str,
    /// How it is computed.
    pub definition: &'static str,
}

/// All curves that belong to no sweep.
pub fn curves() -> &'static [SingleCurve] {
    &CURVES
}

/// The entry of a name.
pub(super) fn find(name: &str) -> Option<CurveEntry> {
    CURVES.iter().find_map(|row| captured(row.name, name).map(|open| CurveEntry::of_single(row, open)))
}
