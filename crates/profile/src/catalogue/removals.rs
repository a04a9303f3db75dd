//! The tables of removals of layers by criteria, [`REMOVALS`], and of criteria that belong to no other measurement, [`CRITERIA`].

use super::curves::SingleCurve;
use super::entry::AxisKind;
use super::sweep_rows::Row;
use crate::{Scale, Unit};

const GROUP: &str = "Removing layers";
const REMOVED: fn(usize) -> AxisKind = |_| AxisKind::LayersRemoved;

pub(super) static REMOVALS: [Row; 4] = [
    Row {
        name: "remove_by_block_influence",
        title: "Removing layers by block influence",
        label: "block influence",
        group: GROUP,
        axis: REMOVED,
        text: "0..4-6-7-9..12",
        definition: "The `n` layers of least `block_influence` on the same windows are left out (Men et al., *ShortGPT*, \
                     arXiv 2403.03853)",
    },
    Row {
        name: "remove_by_angular_distance",
        title: "Removing the block of least angular distance",
        label: "angular distance",
        group: GROUP,
        axis: REMOVED,
        text: "0..6-9..12",
        definition: "The block of `n` neighbouring layers of least `angular_distance` between its input and its output on \
                     the same windows is left out (Gromov et al., arXiv 2403.17887, who take the last position alone)",
    },
    Row {
        name: "remove_by_loss",
        title: "Removing layers by the loss without each",
        label: "loss without each",
        group: GROUP,
        axis: REMOVED,
        text: "0..4-6-7-9..12",
        definition: "The `n` layers of least `delete_nll` on the same windows, each left out alone, are left out together",
    },
    Row {
        name: "remove_by_taylor",
        title: "Removing layers by Taylor importance",
        label: "Taylor importance",
        group: GROUP,
        axis: REMOVED,
        text: "0..4-6-7-9..12",
        definition: "The `n` layers of least `taylor_importance` on the same windows are left out",
    },
];

pub(super) static CRITERIA: [SingleCurve; 1] = [SingleCurve {
    name: "taylor_importance",
    title: "Taylor importance",
    label: "Taylor importance",
    quantity: "estimated rise of the loss",
    unit: Unit::Nats,
    scale: Scale::Fitted,
    axis: AxisKind::Layers,
    group: GROUP,
    definition: "the first-order estimate of how much the loss of a window rises when layer `l` writes nothing: minus the sum over \
                 positions of the inner product of `h_{l+1} - h_l` with the gradient of the window's mean loss by `h_{l+1}`; mean over \
                 windows (Molchanov et al., CVPR 2019)",
}];
