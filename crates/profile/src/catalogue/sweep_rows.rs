//! The tables of the families of interventions: those that run by name, [`SWEEPS`], and those with data of their own,
//! [`WITH_DATA`].

use super::entry::AxisKind;
use super::lenses::GROUP as LENS_GROUP;

/// A row of the table, in which `{n}`, `{m}` and `{hook}` are left open.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) label: &'static str,
    pub(super) group: &'static str,
    pub(super) axis: fn(usize) -> AxisKind,
    pub(super) text: &'static str,
    pub(super) definition: &'static str,
}

pub(super) const LAYERS: fn(usize) -> AxisKind = |_| AxisKind::Layers;
const SUBLAYERS: &str = "Attention and MLP apart";
const DELETED: &str = "Deleting a layer";
pub(super) const KNOCK_OUT: &str = "Attention knock-out";
pub(super) const STEERING: &str = "Steering";

pub(super) static SWEEPS: [Row; 20] = [
    Row {
        name: "delete",
        title: "Deleting a layer",
        label: "delete",
        group: DELETED,
        axis: LAYERS,
        text: "0..3-4..12",
        definition: "Layer `l` is left out; the residual stream bypasses it. The same as zeroing what its attention and \
                     MLP write",
    },
    Row {
        name: "swap",
        title: "Swapping neighbours",
        label: "swap",
        group: "Swapping neighbours",
        axis: |_| AxisKind::AdjacentPairs,
        text: "0..3-4-3-5..12",
        definition: "Layers `l` and `l + 1` run in each other's place",
    },
    Row {
        name: "lens",
        title: "Logit lens",
        label: "lens",
        group: LENS_GROUP,
        axis: |_| AxisKind::ResidualPositions,
        text: "0..3",
        definition: "The first `l` layers run, then the final norm and the unembedding. This is the logit lens: the residual \
                     stream before layer `l`, normed by its own statistics. At `l = L` it is the model",
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
        name: "mean_each_attention",
        title: "Mean-ablating the attention of a layer by position",
        label: "mean each attention",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_attn_out mean(each)",
        definition: "What the attention of layer `l` writes is replaced by its mean in the unchanged model at the same \
                     position, over all windows",
    },
    Row {
        name: "mean_each_mlp",
        title: "Mean-ablating the MLP of a layer by position",
        label: "mean each MLP",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_mlp_out mean(each)",
        definition: "What the MLP of layer `l` writes is replaced by its mean in the unchanged model at the same \
                     position, over all windows",
    },
    Row {
        name: "mean_after_first_attention",
        title: "Mean-ablating the attention of a layer by the mean after the first position",
        label: "mean after first attention",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_attn_out mean(1..)",
        definition: "What the attention of layer `l` writes is replaced by its mean in the unchanged model over all \
                     positions but the first and all windows",
    },
    Row {
        name: "mean_after_first_mlp",
        title: "Mean-ablating the MLP of a layer by the mean after the first position",
        label: "mean after first MLP",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_mlp_out mean(1..)",
        definition: "What the MLP of layer `l` writes is replaced by its mean in the unchanged model over all positions \
                     but the first and all windows",
    },
    Row {
        name: "mean_from_{n}_attention",
        title: "Mean-ablating the attention of a layer by the mean from position {n} on",
        label: "mean from {n} attention",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_attn_out mean({n}..)",
        definition: "What the attention of layer `l` writes is replaced by its mean in the unchanged model over all \
                     positions from {n} on and all windows",
    },
    Row {
        name: "mean_from_{n}_mlp",
        title: "Mean-ablating the MLP of a layer by the mean from position {n} on",
        label: "mean from {n} MLP",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_mlp_out mean({n}..)",
        definition: "What the MLP of layer `l` writes is replaced by its mean in the unchanged model over all positions \
                     from {n} on and all windows",
    },
    Row {
        name: "resample_attention",
        title: "Resample-ablating the attention of a layer",
        label: "resample attention",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_attn_out resample",
        definition: "What the attention of layer `l` writes is replaced by what it writes in the unchanged model at the same \
                     position of the next window (of the first, for the last), of another document where there are several",
    },
    Row {
        name: "resample_mlp",
        title: "Resample-ablating the MLP of a layer",
        label: "resample MLP",
        group: SUBLAYERS,
        axis: LAYERS,
        text: "0..12 | blocks.3.hook_mlp_out resample",
        definition: "What the MLP of layer `l` writes is replaced by what it writes in the unchanged model at the same \
                     position of the next window (of the first, for the last), of another document where there are several",
    },
    Row {
        name: "delete_frozen_patterns",
        title: "Deleting a layer under frozen attention patterns",
        label: "delete, frozen patterns",
        group: DELETED,
        axis: LAYERS,
        text: "0..3-4..12 | blocks.3.attn.hook_pattern clean | ...",
        definition: "Layer `l` is left out, and all later layers have the attention patterns of the unchanged model \
                     on the same window",
    },
    Row {
        name: "delete_frozen_norms",
        title: "Deleting a layer under frozen norms",
        label: "delete, frozen norms",
        group: DELETED,
        axis: LAYERS,
        text: "0..3-4..12 | blocks.3.ln1.hook_scale clean | blocks.3.ln2.hook_scale clean | ...",
        definition: "Layer `l` is left out, and the norms before attention and MLP of all later layers have the \
                     divisors of the unchanged model on the same window. The final norm is not frozen",
    },
    Row {
        name: "knock_back_{n}",
        title: "Knocking out attention to the {n} tokens before",
        label: "knock back {n}",
        group: KNOCK_OUT,
        axis: LAYERS,
        text: "0..12 | blocks.3.attn.hook_attn_scores mask_distances(1..{n}+1)",
        definition: "In layer `l` no query attends to the {n} positions before it: their scores are minus infinity before \
                     the softmax. A query always sees itself",
    },
    Row {
        name: "knock_back_{n}_to_{m}",
        title: "Knocking out attention to the tokens {n} to {m} back",
        label: "knock back {n} to {m}",
        group: KNOCK_OUT,
        axis: LAYERS,
        text: "0..12 | blocks.3.attn.hook_attn_scores mask_distances({n}..{m}+1)",
        definition: "In layer `l` no query attends to the positions from {n} to {m} before it",
    },
    Row {
        name: "knock_back_{m}_in_{n}_layers",
        title: "Knocking out attention to the {m} tokens before in {n} layers",
        label: "knock back {m} in {n} layers",
        group: KNOCK_OUT,
        axis: AxisKind::BlockStarts,
        text: "0..12 | blocks.3.attn.hook_attn_scores mask_distances(1..{m}+1) | ...",
        definition: "In each of the {n} layers from `l` on no query attends to the {m} positions before it",
    },
];

/// The families that are run with data of their own, by a measurement or in a library.
pub(super) static WITH_DATA: [Row; 4] = [
    Row {
        name: "knock_out_within_words",
        title: "Knocking out attention within words",
        label: "within words",
        group: KNOCK_OUT,
        axis: LAYERS,
        text: "0..12 | blocks.3.attn.hook_attn_scores mask_pairs(within words)",
        definition: "In layer `l` no token of a word attends to the earlier tokens of that word. Pairs with the key \
                     at position 0 are left out",
    },
    Row {
        name: "knock_out_across_words",
        title: "Knocking out attention across words",
        label: "across words",
        group: KNOCK_OUT,
        axis: LAYERS,
        text: "0..12 | blocks.3.attn.hook_attn_scores mask_pairs(across words)",
        definition: "In layer `l` the same number of pairs of tokens of different words is knocked out, at the same \
                     distances and in the same windows as `knock_out_within_words`. The kind of pairs of which a \
                     window has more is sampled at random",
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
    Row {
        name: "steer",
        title: "Steering",
        label: "steer",
        group: STEERING,
        axis: |_| AxisKind::Labelled("strength"),
        text: "0..12 | blocks.3.hook_resid_pre pos=1.. add(#ID)",
        definition: "A vector times the strength is added to an activation, from position 1 on unless other positions are \
                     chosen; at 0 the unchanged model runs",
    },
];
