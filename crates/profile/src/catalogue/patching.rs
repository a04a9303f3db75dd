//! The curves of activation patching over pairs of prompts: [`PATCHING`].

use super::{AxisKind, SingleCurve};
use crate::{Scale, Unit};

/// A curve over layers, 1 as after the clean prompt and 0 as after the corrupted one.
const fn restored(
    name: &'static str,
    title: &'static str,
    label: &'static str,
    definition: &'static str,
) -> SingleCurve {
    SingleCurve {
        name,
        title,
        label,
        quantity: "logit difference restored",
        unit: Unit::Fraction,
        scale: Scale::Fitted,
        axis: AxisKind::Layers,
        group: "Patching",
        definition,
    }
}

pub(super) static PATCHING: [SingleCurve; 4] = [
    restored(
        "patch_resid_pre_last_denoise",
        "Clean residual stream into the corrupted run, last position",
        "clean into corrupted",
        "column -1 of the matrix `patch_resid_pre_denoise`",
    ),
    restored(
        "patch_resid_pre_last_noise",
        "Corrupted residual stream into the clean run, last position",
        "corrupted into clean",
        "column -1 of the matrix `patch_resid_pre_noise`",
    ),
    restored(
        "patch_resid_pre_last_{hook}_ci_low",
        "Residual stream patched at the last position ({hook}), lower bound",
        "lower 95 % bound",
        "2.5th percentile of the means of 2,000 bootstrap resamples of the pairs; `DIRECTION` is denoise or noise",
    ),
    restored(
        "patch_resid_pre_last_{hook}_ci_high",
        "Residual stream patched at the last position ({hook}), upper bound",
        "upper 95 % bound",
        "97.5th percentile of the same means",
    ),
];
