//! The curves of ablated sets of neurons, which a measurement puts together from several interventions: [`NEURON_SETS`],
//! [`NEURON_SET_DIFFERENCES`].

use super::entry::AxisKind;
use super::sweep_rows::Row;

const GROUP: &str = "Ablating sets of neurons";
const CLASSES: fn(usize) -> AxisKind = |_| AxisKind::Labelled("class");
const ZERO: &str = "0..12 | blocks.3.mlp.hook_post units=5,9 zero";
const MEAN: &str = "0..12 | blocks.3.mlp.hook_post units=5,9 mean";

const fn row(name: &'static str, text: &'static str, words: [&'static str; 3]) -> Row {
    let [title, label, definition] = words;
    Row { name, title, label, group: GROUP, axis: CLASSES, text, definition }
}

pub(super) static NEURON_SETS: [Row; 6] = [
    row(
        "neuron_sets",
        ZERO,
        [
            "Zeroing a class of neurons",
            "the class",
            "All MLP neurons of a class (`hook_post`) are replaced by zero together",
        ],
    ),
    row(
        "neuron_sets_random",
        ZERO,
        [
            "Zeroing random neurons instead of a class",
            "random sets",
            "Mean over random sets of neurons that are zeroed in place of the class: of the same layers, as many in each, \
             outside the class and of similar `|w_out|`",
        ],
    ),
    row(
        "neuron_sets_random_sd",
        ZERO,
        [
            "Spread over random sets of neurons",
            "spread of random sets",
            "Sample standard deviation over those random sets, each with its mean over all windows",
        ],
    ),
    row(
        "mean_neuron_sets",
        MEAN,
        [
            "Mean-ablating a class",
            "the class",
            "All MLP neurons of a class (`hook_post`) are replaced by their means in the unchanged model, over all positions \
             and windows",
        ],
    ),
    row(
        "mean_neuron_sets_random",
        MEAN,
        [
            "Mean-ablating random neurons instead of a class",
            "random sets",
            "As `neuron_sets_random`, with the means in place of zero",
        ],
    ),
    row(
        "mean_neuron_sets_random_sd",
        MEAN,
        [
            "Spread over mean-ablated random sets",
            "spread of random sets",
            "As `neuron_sets_random_sd`, with the means in place of zero",
        ],
    ),
];

/// The class minus random sets.
pub(super) static NEURON_SET_DIFFERENCES: [Row; 2] = [
    row(
        "neuron_sets_difference",
        ZERO,
        [
            "Zeroed class − random",
            "class minus random",
            "The class minus the mean of the random sets, window by window; the error is over windows, for the sets that \
             were drawn",
        ],
    ),
    row(
        "mean_neuron_sets_difference",
        MEAN,
        [
            "Mean-ablated class − random",
            "class minus random",
            "As `neuron_sets_difference`, with the means in place of zero",
        ],
    ),
];
