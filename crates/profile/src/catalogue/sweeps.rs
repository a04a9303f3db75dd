//! The families of interventions: [`SweepEntry`].

use super::entry::AxisKind;
use super::limit::Limit;
use super::pattern::{Captured, captured};
use super::sweep_rows::{DIFFERENCES, Row, SWEEPS};

/// A family of interventions, one for each point of an axis.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SweepEntry {
    /// Its name, at the beginning of a curve's name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// A word or two for legends and headings.
    pub label: String,
    /// The group of curves it belongs to.
    pub group: &'static str,
    /// What it runs over.
    pub axis: AxisKind,
    /// The intervention at layer 3 of a model of 12 layers as text, for blocks of two.
    pub text: String,
    /// What is done to the model.
    pub definition: String,
    /// Whether its curves are differences of the curves of two other families, so that values may be negative.
    pub is_difference: bool,
}

impl Row {
    fn entry(&self, open: Captured) -> SweepEntry {
        SweepEntry {
            name: open.fill(self.name),
            title: open.fill(self.title),
            label: open.fill(self.label),
            group: self.group,
            axis: (self.axis)(open.number),
            text: open.fill(self.text),
            definition: open.fill(self.definition),
            is_difference: false,
        }
    }
}

/// All sweeps; the open part of a name, such as `repeat_b` or `patch_HOOK_layers`, is a letter or word. Of those that are
/// limited to positions there are the deletion and the swap.
pub fn sweeps() -> Vec<SweepEntry> {
    let open = |row: &Row| match row.name.contains("{n}") {
        true => Captured { text: "b", number: 1, second: "k" },
        false => Captured { text: "HOOK", number: 0, second: "" },
    };
    let limited = |entry: SweepEntry| {
        let limits: &[Limit] = if matches!(&*entry.name, "delete" | "swap") { &Limit::USUAL } else { &[] };
        let limited: Vec<_> = limits.iter().map(|limit| limit.entry(&entry)).collect();
        std::iter::once(entry).chain(limited)
    };
    SWEEPS.iter().map(|row| row.entry(open(row))).flat_map(limited).chain(differences()).collect()
}

/// The differences of two sweeps.
fn differences() -> impl Iterator<Item = SweepEntry> {
    let closed = Captured { text: "", number: 0, second: "" };
    DIFFERENCES.iter().map(move |row| SweepEntry { is_difference: true, ..row.entry(closed) })
}

/// The sweep of a name, which may end with the positions to which it is limited: `delete_after_first`, `mean_mlp_from_5`.
pub fn find_sweep(name: &str) -> Option<SweepEntry> {
    let of_all_positions =
        |name: &str| SWEEPS.iter().find_map(|row| captured(row.name, name).map(|open| row.entry(open)));
    let limited = || {
        let limit = Limit::of(name)?;
        let entry = of_all_positions(name.strip_suffix(limit.suffix)?)?;
        let of_whole_windows = entry.name == "lens" || entry.name.starts_with("repeat_");
        (!of_whole_windows).then(|| limit.entry(&entry))
    };
    of_all_positions(name).or_else(limited).or_else(|| differences().find(|entry| entry.name == name))
}
