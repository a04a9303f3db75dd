//! Matrices: [`MatrixEntry`].

use super::limit::Limit;
use super::pattern::{Captured, captured};
use super::split;
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

/// A row of the table, in which `{hook}` stands for any text and `{n}` for a number.
struct Row {
    name: &'static str,
    title: &'static str,
    unit: Unit,
    axes: &'static str,
    definition: &'static str,
}

const LAYER_AND_HEAD: &str = "layer, head";
const POSITIONS: &str = "residual positions, both ways";

static MATRICES: [Row; 5] = [
    Row { name: "cosine", title: "Cosine", unit: Unit::Cosine, axes: POSITIONS, definition: "mean of `cos(h_a, h_b)`" },
    Row {
        name: "cka",
        title: "CKA over all positions",
        unit: Unit::Dimensionless,
        axes: POSITIONS,
        definition: "linear CKA of `h_a` and `h_b`, biased estimator, over the positions of `cka_adjacent`",
    },
    Row {
        name: "cka_last_unbiased",
        title: "Unbiased CKA, last position",
        unit: Unit::Dimensionless,
        axes: POSITIONS,
        definition: "the same by the unbiased estimator HSIC_1 over the last positions of windows, when there are four or more",
    },
    Row {
        name: "merging_heads",
        title: "Attention within a word, less that elsewhere",
        unit: Unit::Fraction,
        axes: LAYER_AND_HEAD,
        definition: "a head's attention from the last token of a four-token word to its other three, less the attention \
                     over the same distances between other tokens",
    },
    Row {
        name: "ensemble_{hook}",
        title: "Ensemble of neurons",
        unit: Unit::Fraction,
        axes: "probe or model, neurons `k`",
        definition: "accuracy of probes on `k` neurons, and of the model, in telling whether the next word ends in the suffix",
    },
];

/// Sweeps over two axes; their matrices are named after the sweep and the metric, and have the metric's unit.
static SWEEPS: [Row; 7] = [
    Row {
        name: "zero_heads",
        title: "Zeroing a head",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "what head `h` of layer `l` gives to the output weights (`hook_z`) is replaced by zero",
    },
    Row {
        name: "mean_heads",
        title: "Mean-ablating a head",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by its mean in the unchanged model, over all positions and windows",
    },
    Row {
        name: "mean_each_heads",
        title: "Mean-ablating a head by position",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by its mean in the unchanged model at the same position, over all windows",
    },
    Row {
        name: "mean_after_first_heads",
        title: "Mean-ablating a head by the mean after the first position",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by its mean in the unchanged model, over all positions but the first and all windows",
    },
    Row {
        name: "mean_from_{n}_heads",
        title: "Mean-ablating a head by the mean from position {n} on",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by its mean in the unchanged model, over all positions from {n} on and all windows",
    },
    Row {
        name: "resample_heads",
        title: "Resample-ablating a head",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by what the head gives in the unchanged model at the same position of the next window, of \
                     another document where there are several",
    },
    Row {
        name: "patch_{hook}",
        title: "Patching {hook}",
        unit: Unit::Dimensionless,
        axes: "layer, position",
        definition: "the activation of layer `l` at one position is taken from another run",
    },
];

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
    MATRICES.iter().map(|row| row.entry(Captured { text: "SUFFIX", number: 0, second: "" })).collect()
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
    row(&MATRICES, name).or_else(|| {
        let (sweep, metric) = split(name)?;
        let entry = row(&SWEEPS, sweep).or_else(|| {
            let limit = Limit::of(sweep)?;
            Some(limit.matrix(&row(&SWEEPS, sweep.strip_suffix(limit.suffix)?)?))
        })?;
        let (title, definition) = (format!("{}: {}", entry.title, metric.label), entry.definition);
        let definition = format!("{definition}. {}", metric.definition);
        Some(MatrixEntry { name: name.to_owned(), title, unit: metric.unit, axes: entry.axes, definition })
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
        assert!(find_matrix("zero_heads").is_none() && find_matrix("skip_kl").is_none());
    }
}
