//! Matrices: [`MatrixEntry`].

use super::LimitedName;
use super::groupings::{find_grouping, split_grouping};
use super::limit::Limit;
use super::matrix_rows::{LAYER_AND_HEAD, MATRICES, Row, SWEEPS};
use super::pattern::{Captured, captured};
use super::{AxisKind, SweepEntry, find, find_sweep, split};
use crate::Unit;

/// A matrix as reports show it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MatrixEntry {
    /// The name under which it is kept.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What it is measured in.
    pub unit: Unit,
    /// What runs downwards and to the right.
    pub axes: &'static str,
    /// How it is computed.
    pub definition: String,
}

impl Row {
    fn entry(&self, open: Captured) -> MatrixEntry {
        MatrixEntry {
            name: open.fill(self.name),
            title: open.fill(self.title),
            unit: self.unit.clone(),
            axes: self.axes,
            definition: open.fill(self.definition),
        }
    }
}

/// All matrices that belong to no sweep; the open part of a name, such as `ensemble_SUFFIX`, is a word.
pub fn matrices() -> Vec<MatrixEntry> {
    let open = |row: &Row| if row.name.starts_with("patch_") { "HOOK" } else { "SUFFIX" };
    MATRICES.iter().map(|row| row.entry(Captured { text: open(row), number: 0, second: "" })).collect()
}

/// All sweeps over two axes; their matrices are named after the sweep and the metric.
pub fn matrix_sweeps() -> Vec<MatrixEntry> {
    let open = |row: &Row| if row.name.contains("{n}") { "b" } else { "HOOK" };
    SWEEPS.iter().map(|row| row.entry(Captured { text: open(row), number: 0, second: "" })).collect()
}

/// The sweep over layers and heads of a name, at all positions.
pub(super) fn find_head_sweep(name: &str) -> Option<MatrixEntry> {
    let rows = SWEEPS.iter().filter(|row| row.axes == LAYER_AND_HEAD);
    rows.into_iter().find_map(|row| captured(row.name, name).map(|open| row.entry(open)))
}

/// The matrix of a name.
pub fn find_matrix(name: &str) -> Option<MatrixEntry> {
    let row =
        |rows: &[Row], name: &str| rows.iter().find_map(|row| captured(row.name, name).map(|open| row.entry(open)));
    let of_sweep = || {
        let (sweep, metric) = split(name)?;
        let limited = || {
            let limited = LimitedName::parse(sweep)?;
            Some(Limit::of(limited).matrix(&row(&SWEEPS, limited.sweep)?))
        };
        let entry = row(&SWEEPS, sweep).or_else(limited).or_else(|| of_blocks(sweep))?;
        let (title, definition) = (format!("{}: {}", entry.title, metric.label), entry.definition);
        let definition = format!("{definition}. {}", metric.definition);
        Some(MatrixEntry { name: name.to_owned(), title, unit: metric.unit, axes: entry.axes, definition })
    };
    row(&MATRICES, name).or_else(of_sweep).or_else(|| find_grouped(name))
}

/// The matrix of a sweep over blocks of layers.
fn of_blocks(sweep: &str) -> Option<MatrixEntry> {
    let SweepEntry { name, title, definition, .. } =
        find_sweep(sweep).filter(|it| matches!(it.axis, AxisKind::Blocks(_)))?;
    Some(MatrixEntry { name, title, unit: Unit::Dimensionless, axes: "layers of the block, first layer", definition })
}

/// The matrix of a sweep by groups of positions, such as `delete_kl_by_class`.
fn find_grouped(name: &str) -> Option<MatrixEntry> {
    let (curve, grouping) = split_grouping(name)?;
    let (curve, grouping) = (find(curve)?, find_grouping(grouping)?);
    let metric = curve.metric?;
    Some(MatrixEntry {
        name: name.to_owned(),
        title: format!("{} by {}", curve.title, grouping.title),
        unit: metric.unit,
        axes: "points of the sweep, groups",
        definition: format!("{}. At the positions of each group: {}", curve.definition, grouping.definition),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_are_found_by_name() {
        assert_eq!(find_matrix("ensemble_ing").unwrap().title, "Ensemble of neurons");
        assert!(find_matrix("ensemble_").is_none() && find_matrix("cka_other").is_none());
        let heads = find_matrix("zero_heads_kl").unwrap();
        assert_eq!((&heads.title[..], heads.unit, heads.axes), ("Zeroing a head: KL", Unit::Nats, "layer, head"));
        let patch = find_matrix("patch_resid_pre_logit_difference").unwrap();
        assert_eq!((&patch.title[..], patch.unit), ("Patching resid_pre: logit difference", Unit::Logits));
        let denoised = find_matrix("patch_resid_pre_denoise").unwrap();
        assert_eq!((&denoised.title[..], denoised.unit), ("Clean resid_pre into the corrupted run", Unit::Fraction));
        assert_eq!(find_matrix("patch_z_heads_noise").unwrap().title, "Corrupted heads (z) into the clean run");
        assert_eq!(find_matrix("patch_z_heads_kl").unwrap().title, "Patching a head of z: KL");
        let skipped = find_matrix("skip_up_to_4_kl").unwrap();
        assert_eq!((&skipped.title[..], skipped.unit), ("Skipping blocks of up to 4 layers: KL", Unit::Nats));
        assert!(find_matrix("skip_4_kl").is_none());
        assert!(find_matrix("zero_heads").is_none() && find_matrix("skip_kl").is_none());
    }
}
