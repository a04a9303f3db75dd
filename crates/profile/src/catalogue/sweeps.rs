//! The families of interventions: [`SweepEntry`].

use super::entry::AxisKind;
use super::neuron_sets::NEURON_SETS;
use super::pattern::{Captured, captured};

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
}

/// A row of the table, in which `{n}` and `{hook}` are left open.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) label: &'static str,
    pub(super) group: &'static str,
    pub(super) axis: fn(usize) -> AxisKind,
    pub(super) text: &'static str,
    pub(super) definition: &'static str,
}

const LAYERS: fn(usize) -> AxisKind = |_| AxisKind::Layers;
const SUBLAYERS: &str = "Attention and MLP apart";
const DELETED: &str = "Deleting a layer";
const HEADS: &str = "Ablating a head";
const ALL_HEADS: fn(usize) -> AxisKind = |_| AxisKind::AllHeads;

static SWEEPS: [Row; 15] = [
    Row {
        name: "delete",
        title: "Deleting a layer",
        label: "delete",
        group: DELETED,
        axis: LAYERS,
        text: "0..3-4..12",
        definition: "Layer `l` is left out; the residual stream passes by it. The same as zeroing what its attention and \
                     MLP write",
    },
    Row {
        name: "delete_from_{n}",
        title: "Deleting a layer from position {n} on",
        label: "delete from {n}",
        group: DELETED,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_resid_post pos={n}.. skip",
        definition: "Layer `l` is left out at position {n} of each window and after it; the positions before pass through it",
    },
    Row {
        name: "swap",
        title: "Swapping a layer with the next",
        label: "swap",
        group: "Swapping a layer with the next",
        axis: |_| AxisKind::AdjacentPairs,
        text: "0..3-4-3-5..12",
        definition: "Layers `l` and `l + 1` run in each other's place",
    },
    Row {
        name: "lens",
        title: "Logit lens",
        label: "lens",
        group: "The lens before a layer",
        axis: |_| AxisKind::ResidualPositions,
        text: "0..3",
        definition: "The first `l` layers run, then the final norm and the unembedding. This is the logit lens: the residual \
                     stream before layer `l`, normed by its own statistics. At `l = L` it is the model",
    },
    Row {
        name: "repeat_{n}",
        title: "Repeating each of {n} layers",
        label: "repeat {n}",
        group: "Repeating blocks of layers",
        axis: AxisKind::BlockStarts,
        text: "0..4-3..5-4..12",
        definition: "Each of the {n} layers from `l` on runs twice in a row",
    },
    Row {
        name: "delete_attention",
        title: "Deleting the attention of a layer",
        label: "delete attention",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_attn_out zero",
        definition: "The attention of layer `l` is left out and its MLP runs (zero-ablation)",
    },
    Row {
        name: "delete_mlp",
        title: "Deleting the MLP of a layer",
        label: "delete MLP",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_mlp_out zero",
        definition: "The MLP of layer `l` is left out and its attention runs (zero-ablation)",
    },
    Row {
        name: "mean_attention",
        title: "Mean-ablating the attention of a layer",
        label: "mean attention",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_attn_out mean",
        definition: "What the attention of layer `l` writes is replaced by its mean in the unchanged model, over all positions \
                     and windows",
    },
    Row {
        name: "mean_mlp",
        title: "Mean-ablating the MLP of a layer",
        label: "mean MLP",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_mlp_out mean",
        definition: "What the MLP of layer `l` writes is replaced by its mean in the unchanged model, over all positions and \
                     windows",
    },
    Row {
        name: "resample_attention",
        title: "Resample-ablating the attention of a layer",
        label: "resample attention",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_attn_out resample",
        definition: "What the attention of layer `l` writes is replaced by what it writes in the unchanged model at the same \
                     position of the next window (of the first, for the last)",
    },
    Row {
        name: "resample_mlp",
        title: "Resample-ablating the MLP of a layer",
        label: "resample MLP",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_mlp_out resample",
        definition: "What the MLP of layer `l` writes is replaced by what it writes in the unchanged model at the same \
                     position of the next window (of the first, for the last)",
    },
    Row {
        name: "zero_heads",
        title: "Zeroing a head",
        label: "zero heads",
        group: HEADS,
        axis: ALL_HEADS,
        text: "0..12 | blocks.3.attn.hook_z heads=2 zero",
        definition: "What head `h` of layer `l` gives to the output weights (`hook_z`) is replaced by zero",
    },
    Row {
        name: "mean_heads",
        title: "Mean-ablating a head",
        label: "mean heads",
        group: HEADS,
        axis: ALL_HEADS,
        text: "0..12 | blocks.3.attn.hook_z heads=2 mean",
        definition: "What head `h` of layer `l` gives is replaced by its mean in the unchanged model, over all positions and \
                     windows",
    },
    Row {
        name: "resample_heads",
        title: "Resample-ablating a head",
        label: "resample heads",
        group: HEADS,
        axis: ALL_HEADS,
        text: "0..12 | blocks.3.attn.hook_z heads=2 resample",
        definition: "What head `h` of layer `l` gives is replaced by what it gives in the unchanged model at the same \
                     position of the next window (of the first, for the last)",
    },
    Row {
        name: "patch_{hook}_layers",
        title: "Patching {hook} of a layer",
        label: "patch {hook}",
        group: "Patching",
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_{hook} patch(#ID)",
        definition: "The activation of layer `l` is taken from another run, at every position",
    },
];

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
        }
    }
}

fn rows() -> impl Iterator<Item = &'static Row> {
    SWEEPS.iter().chain(&NEURON_SETS)
}

/// All sweeps; the open part of a name, such as `repeat_b` or `patch_HOOK_layers`, is a letter or word.
pub fn sweeps() -> Vec<SweepEntry> {
    let open = |row: &Row| Captured { text: if row.name.contains("{n}") { "b" } else { "HOOK" }, number: 1 };
    rows().map(|row| row.entry(open(row))).collect()
}

/// The sweep of a name.
pub fn find_sweep(name: &str) -> Option<SweepEntry> {
    rows().find_map(|row| captured(row.name, name).map(|open| row.entry(open)))
}
