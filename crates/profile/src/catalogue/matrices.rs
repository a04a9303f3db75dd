//! Matrices: [`MatrixEntry`].

use super::LimitedName;
use super::groupings::{find_grouping, split_grouping};
use super::limit::Limit;
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

const LAYER_AND_POSITION: &str = "layer, position from the end";

static MATRICES: [Row; 11] = [
    Row { name: "cosine", title: "Cosine", unit: Unit::Cosine, axes: POSITIONS, definition: "mean of `cos(h_a, h_b)`" },
    Row {
        name: "angular_distance",
        title: "Angular distance",
        unit: Unit::HalfTurns,
        axes: POSITIONS,
        definition: "mean of `arccos(cos(h_a, h_b)) / pi`; that of `h_l` and `h_{l+n}` is the angular distance over `n` layers of \
                     Gromov et al. (arXiv 2403.17887), who take it at the last position alone",
    },
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
        name: "dla_heads",
        title: "Direct logit attribution of heads",
        unit: Unit::Logits,
        axes: LAYER_AND_HEAD,
        definition: "`dla_attention` of what head `h` writes, `z_h W_O_h`; a norm behind attention is taken with its gain and \
                     its scale at the position. The heads of a layer and `dla_attention_bias` add up to `dla_attention`",
    },
    Row {
        name: "ensemble_{hook}",
        title: "Ensemble of neurons",
        unit: Unit::Fraction,
        axes: "probe or model, neurons `k`",
        definition: "accuracy of probes on `k` neurons, and of the model, in telling whether the next word ends in the suffix. \
                     Of the 1,024 neurons whose cosines with tokens that have the suffix differ most from those with others, up \
                     or down, the 32 with the largest difference among those with a kurtosis over 10, and others if these are \
                     fewer",
    },
    Row {
        name: "patch_{hook}_heads_denoise",
        title: "Clean heads ({hook}) into the corrupted run",
        unit: Unit::Fraction,
        axes: LAYER_AND_HEAD,
        definition: "`(d - d_corrupted) / (d_clean - d_corrupted)`, mean over pairs of prompts, where `d` is the logit \
                     difference of a pair's answers after its corrupted prompt, with the activation of one head at all \
                     positions taken from the clean prompt",
    },
    Row {
        name: "patch_{hook}_heads_noise",
        title: "Corrupted heads ({hook}) into the clean run",
        unit: Unit::Fraction,
        axes: LAYER_AND_HEAD,
        definition: "the same after the clean prompt, with the head's activation taken from the corrupted one",
    },
    Row {
        name: "patch_{hook}_denoise",
        title: "Clean {hook} into the corrupted run",
        unit: Unit::Fraction,
        axes: LAYER_AND_POSITION,
        definition: "the same after the corrupted prompt, with the activation at one position taken from the clean one; mean \
                     over the pairs that have the position",
    },
    Row {
        name: "patch_{hook}_noise",
        title: "Corrupted {hook} into the clean run",
        unit: Unit::Fraction,
        axes: LAYER_AND_POSITION,
        definition: "the same after the clean prompt, with the activation at one position taken from the corrupted one",
    },
];

/// Sweeps over two axes; their matrices are named after the sweep and the metric, and have the metric's unit.
static SWEEPS: [Row; 8] = [
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
        definition: "`hook_z` of the head is replaced by its mean in the unchanged model at the same position, over \
                     all windows",
    },
    Row {
        name: "mean_after_first_heads",
        title: "Mean-ablating a head by the mean after the first position",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by its mean in the unchanged model, over all positions but the first \
                     and all windows",
    },
    Row {
        name: "mean_from_{n}_heads",
        title: "Mean-ablating a head by the mean from position {n} on",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by its mean in the unchanged model, over all positions from {n} \
                     on and all windows",
    },
    Row {
        name: "resample_heads",
        title: "Resample-ablating a head",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by what the head gives in the unchanged model at the same position \
                     of the next window, of another document where there are several",
    },
    Row {
        name: "patch_{hook}_heads",
        title: "Patching a head of {hook}",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "the activation of one head of layer `l` is taken from another run, at every position",
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
