//! The curves that belong to no sweep, row by row: [`SingleCurve`].

use super::entry::AxisKind;
use super::sweep_rows::STEERING;
use crate::{Scale, Unit};

/// A row of the table of curves that belong to no sweep; `{n}` stands for a number.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SingleCurve {
    /// The name under which it is kept.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// A few words for a legend or the head of a line.
    pub label: &'static str,
    /// What is measured, for the side of a plot.
    pub quantity: &'static str,
    /// What it is measured in.
    pub unit: Unit,
    /// How it is drawn.
    pub scale: Scale,
    /// What it runs over.
    pub axis: AxisKind,
    /// The group of curves it belongs to.
    pub group: &'static str,
    /// How it is computed.
    pub definition: &'static str,
}

pub(super) static CURVES: [SingleCurve; 8] = [
    SingleCurve {
        name: "attention_at_distance_{n}",
        title: "Attention to the token {n} back",
        label: "{n} back",
        quantity: "attention weight",
        unit: Unit::Fraction,
        scale: Scale::Log,
        axis: AxisKind::Layers,
        group: "Attention",
        definition: "mean of `A[t, t-{n}]` over the queries `t >= {n}`",
    },
    SingleCurve {
        name: "prev5_attention",
        title: "Mean weight on each of the last five tokens",
        label: "each of last 5",
        quantity: "attention weight",
        unit: Unit::Fraction,
        scale: Scale::Log,
        axis: AxisKind::Layers,
        group: "Attention",
        definition: "mean of all entries `A[t, t-k]`, `k` from 1 to 5",
    },
    SingleCurve {
        name: "prev5_attention_mass",
        title: "Attention to the last five tokens",
        label: "attention to last 5",
        quantity: "attention",
        unit: Unit::Fraction,
        scale: Scale::Share,
        axis: AxisKind::Layers,
        group: "Attention",
        definition: "the sum of `A[t, t-k]` over `k` from 1 to 5; mean over all `T` queries",
    },
    SingleCurve {
        name: "prev5_attention_mass_after_first",
        title: "Attention to those of the last five tokens that are not the first one",
        label: "to last 5, not to first",
        quantity: "attention",
        unit: Unit::Fraction,
        scale: Scale::Share,
        axis: AxisKind::Layers,
        group: "Attention",
        definition: "the sum of `A[t, t-k]` over `k` from 1 to 5 with `t - k >= 1`; mean over the queries `t >= 1`",
    },
    SingleCurve {
        name: "first_token_attention",
        title: "Attention to the first token",
        label: "attention to first",
        quantity: "attention",
        unit: Unit::Fraction,
        scale: Scale::Share,
        axis: AxisKind::Layers,
        group: "Attention",
        definition: "mean of `A[t, 0]` over `t >= 1`",
    },
    SingleCurve {
        name: "wic_accuracy",
        title: "Word-in-Context accuracy",
        label: "Word-in-Context",
        quantity: "accuracy",
        unit: Unit::Fraction,
        scale: Scale::Fitted,
        axis: AxisKind::ResidualPositions,
        group: "Words in context",
        definition: "fraction of Word-in-Context pairs that a probe at the word's last token gets right",
    },
    SingleCurve {
        name: "steer_target",
        title: "Target of steering",
        label: "target",
        quantity: "target",
        unit: Unit::Nats,
        scale: Scale::Fitted,
        axis: AxisKind::Labelled("strength"),
        group: STEERING,
        definition: "mean over prompts, at their last position: the mean log-probability of the target tokens (nats), or the \
                     mean of their logits minus that of other tokens (logits)",
    },
    SingleCurve {
        name: "own_continuation_nll",
        title: "Loss of the model's own text without a layer",
        label: "own text",
        quantity: "loss",
        unit: Unit::Nats,
        scale: Scale::Fitted,
        axis: AxisKind::Layers,
        group: "Own text",
        definition: "loss, in the model without layer `l`, of the greedy continuation that the unchanged model writes after the \
                     first half of each window (rounded down), to the length of the window; mean over the tokens of the \
                     continuation",
    },
];
