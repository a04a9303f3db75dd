//! The curves of what sublayers do for the next token.

use super::{AxisKind, SingleCurve};
use crate::{Scale, Unit};

const ATTRIBUTION: &str = "Direct logit attribution";
const DIRECT: &str = "Direct effects on the loss";
const TOTAL: &str = "Total effects on the loss";
const REPAIR: &str = "Self-repair";

/// A curve over layers in logits.
const fn logits(name: &'static str, title: &'static str, label: &'static str, definition: &'static str) -> SingleCurve {
    SingleCurve {
        name,
        title,
        label,
        quantity: "centred logit",
        unit: Unit::Logits,
        scale: Scale::Linear,
        axis: AxisKind::Layers,
        group: ATTRIBUTION,
        definition,
    }
}

/// A curve over layers of differences of losses, which may be negative.
const fn loss(
    group: &'static str,
    name: &'static str,
    [title, label]: [&'static str; 2],
    definition: &'static str,
) -> SingleCurve {
    SingleCurve {
        name,
        title,
        label,
        quantity: "change of loss",
        unit: Unit::Nats,
        scale: Scale::Linear,
        axis: AxisKind::Layers,
        group,
        definition,
    }
}

pub(super) static EFFECTS: [SingleCurve; 13] = [
    logits(
        "dla_attention",
        "Direct logit attribution of attention",
        "attention",
        "mean over `t < T - 1` of `(W_U[x_{t+1}] - mean_v W_U[v]) . (gain * a_l[t] / scale[t])`, where `a_l` is what \
         attention adds and `scale` what the final norm divides `h_L[t]` by; if that norm subtracts the mean over \
         `d_model`, so is that of `a_l[t]`",
    ),
    logits("dla_mlp", "Direct logit attribution of the MLP", "MLP", "the same of what the MLP adds"),
    logits(
        "dla_attention_bias",
        "Direct logit attribution of attention's output bias",
        "attention bias",
        "the same of the output bias of attention, which is part of `dla_attention` and of no head; only in models with \
         such a bias",
    ),
    loss(
        DIRECT,
        "direct_attention",
        ["Direct effect of attention", "attention"],
        "mean of `nll` of `h_L - a_l`, normed again, minus `nll` of `h_L`: the last residual stream alone loses what \
         attention adds",
    ),
    loss(DIRECT, "direct_mlp", ["Direct effect of the MLP", "MLP"], "the same of what the MLP adds"),
    loss(
        TOTAL,
        "total_attention",
        ["Total effect of attention", "attention, zero"],
        "`nll` of `delete_attention` minus that of the unchanged model: attention writes zero, and later layers react",
    ),
    loss(
        TOTAL,
        "total_mlp",
        ["Total effect of the MLP", "MLP, zero"],
        "`nll` of `delete_mlp` minus that of the unchanged model",
    ),
    loss(
        TOTAL,
        "total_mean_attention",
        ["Total effect of attention, against its mean", "attention, mean"],
        "`nll` of `mean_attention` minus that of the unchanged model",
    ),
    loss(
        TOTAL,
        "total_mean_mlp",
        ["Total effect of the MLP, against its mean", "MLP, mean"],
        "`nll` of `mean_mlp` minus that of the unchanged model",
    ),
    loss(
        TOTAL,
        "total_resample_attention",
        ["Total effect of attention, against that of another window", "attention, resampled"],
        "`nll` of `resample_attention` minus that of the unchanged model",
    ),
    loss(
        TOTAL,
        "total_resample_mlp",
        ["Total effect of the MLP, against that of another window", "MLP, resampled"],
        "`nll` of `resample_mlp` minus that of the unchanged model",
    ),
    loss(
        REPAIR,
        "self_repair_attention",
        ["Self-repair of attention", "attention"],
        "`direct_attention` minus `total_attention`: positive where later layers make up for what is lost, negative where \
         they depend on it",
    ),
    loss(REPAIR, "self_repair_mlp", ["Self-repair of the MLP", "MLP"], "`direct_mlp` minus `total_mlp`"),
];
