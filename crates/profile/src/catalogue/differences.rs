//! The table of differences between two families of interventions: [`DIFFERENCES`].

use super::entry::AxisKind;
use super::sweep_rows::{KNOCK_OUT, LAYERS, Row};

const DIFFERENCE: &str = "Deleting a layer, compared";

pub(super) static DIFFERENCES: [Row; 3] = [
    Row {
        name: "delete_less_clean",
        title: "Deleting a layer, minus the unchanged model",
        label: "deleted minus unchanged",
        group: DIFFERENCE,
        axis: LAYERS,
        text: "delete - clean",
        definition: "`delete` minus the unchanged model, window by window",
    },
    Row {
        name: "delete_less_swap",
        title: "Deleting a layer rather than swapping it with the next",
        label: "deleted minus swapped",
        group: DIFFERENCE,
        axis: |_| AxisKind::AdjacentPairs,
        text: "delete - swap",
        definition: "`delete` at layer `l` minus `swap` of `l` and `l + 1`, window by window",
    },
    Row {
        name: "knock_out_words",
        title: "Knocking out attention within words rather than across",
        label: "within minus across words",
        group: KNOCK_OUT,
        axis: LAYERS,
        text: "knock_out_within_words - knock_out_across_words",
        definition: "`knock_out_within_words` minus `knock_out_across_words`, window by window",
    },
];
