//! The figures of curves, as tables: headings, axes, and the curves by their names in the legend and in the profile.

use crate::figure::Scale;

/// A figure that is drawn when the profile has curves for it.
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// The caption.
    pub(super) shows: &'static str,
    pub(super) panels: &'static [Wanted],
}

/// A panel.
pub(super) struct Wanted {
    pub(super) title: &'static str,
    pub(super) left: Axis,
    pub(super) right: Option<Axis>,
    /// Whether it is only worth drawing with both axes.
    pub(super) needs_both: bool,
}

/// A vertical axis: what runs upwards and how, with curves and single numbers, each by its name in the legend and in
/// the profile.
pub(super) struct Axis {
    pub(super) label: &'static str,
    pub(super) scale: Scale,
    pub(super) curves: &'static [(&'static str, &'static str)],
    pub(super) references: &'static [(&'static str, &'static str)],
}

type Named = (&'static str, &'static str);

const fn axis(label: &'static str, scale: Scale, curves: &'static [Named]) -> Axis {
    Axis { label, scale, curves, references: &[] }
}

const fn one(title: &'static str, left: Axis) -> Wanted {
    Wanted { title, left, right: None, needs_both: false }
}

const fn two(title: &'static str, left: Axis, right: Axis) -> Wanted {
    Wanted { title, left, right: Some(right), needs_both: false }
}

const fn both(title: &'static str, left: Axis, right: Axis) -> Wanted {
    Wanted { title, left, right: Some(right), needs_both: true }
}

const DELETE_AND_SWAP: Axis = axis("KL, nats", Scale::Log, &[("delete", "delete_kl"), ("swap", "swap_kl")]);
const LAST_FIVE: &[Named] = &[("last 5 tokens", "prev5_attention_mass")];
const LENS_KL: Axis = axis("lens KL, nats", Scale::Log, &[("lens KL", "lens_kl")]);
const LENS_ENTROPY: Axis = axis("lens entropy, bits", Scale::Linear, &[("lens entropy", "lens_entropy_bits")]);
const MLP_NORM: Axis = axis("mean norm", Scale::Log, &[("MLP output norm", "mlp_out_norm")]);
const PREDICTION: Axis = axis("neurons", Scale::Linear, &[("prediction neurons", "prediction_neurons")]);
const SUPPRESSION: Axis = axis("neurons", Scale::Linear, &[("suppression neurons", "suppression_neurons")]);
const BOTH_NEURONS: Axis =
    axis("neurons", Scale::Linear, &[("prediction", "prediction_neurons"), ("suppression", "suppression_neurons")]);
const WIC: Axis = Axis {
    label: "accuracy",
    scale: Scale::Fitted,
    curves: &[("word in context", "wic_accuracy")],
    references: &[("majority", "wic_majority"), ("static", "wic_static")],
};

/// In the order in which a reader wants them.
pub(super) const PLANS: [Plan; 10] = [
    Plan {
        name: "signatures",
        title: "The signatures of the stages",
        shows: "What each stage is recognised by: early layers that cannot be spared and look at the tokens just \
                before; a stretch that is robust while the meaning of words takes shape; prediction neurons while \
                the lens closes in on the model's answer; at the end suppression neurons and large MLP outputs. \
                Curves marked → are measured by the right axis.",
        panels: &[
            one("Deleting and swapping layers", DELETE_AND_SWAP),
            two("Words come together", axis("fraction of attention", Scale::Share, LAST_FIVE), WIC),
            two("Predictions form", LENS_KL, PREDICTION),
            two("Predictions are sharpened", MLP_NORM, SUPPRESSION),
        ],
    },
    Plan {
        name: "damage",
        title: "Deleting and swapping layers",
        shows: "The output distribution after leaving out a layer, or after running it and the next in the other \
                order, against the unchanged model's. A swap is drawn between its two layers.",
        panels: &[
            one("KL from the unchanged model", DELETE_AND_SWAP),
            one(
                "The same first choice",
                axis(
                    "top-1 agreement",
                    Scale::Share,
                    &[("delete", "delete_top1_agreement"), ("swap", "swap_top1_agreement")],
                ),
            ),
        ],
    },
    Plan {
        name: "lens",
        title: "What the residual stream predicts",
        shows: "The logit lens: the final norm and the unembedding applied to the residual stream before each layer, \
                and after the last.",
        panels: &[
            one("Logit lens: KL from the model", axis("KL, nats", Scale::Log, &[("lens", "lens_kl")])),
            one(
                "Logit lens: uncertainty",
                Axis {
                    label: "entropy, bits",
                    scale: Scale::Linear,
                    curves: &[("lens", "lens_entropy_bits")],
                    references: &[("model", "clean_entropy_bits")],
                },
            ),
            one(
                "Logit lens: the same first choice",
                axis("top-1 agreement", Scale::Share, &[("lens", "lens_top1_agreement")]),
            ),
            one(
                "Logit lens: loss",
                Axis {
                    label: "loss, nats",
                    scale: Scale::Log,
                    curves: &[("lens", "lens_nll")],
                    references: &[("model", "clean_nll")],
                },
            ),
        ],
    },
    Plan {
        name: "lens_and_neurons",
        title: "The lens and the neurons that write tokens",
        shows: "Prediction neurons raise few tokens and suppression neurons lower few; where they become many, the \
                lens should close in on the model's answer.",
        panels: &[
            both("Lens KL and neurons", LENS_KL, BOTH_NEURONS),
            both("Lens entropy and neurons", LENS_ENTROPY, BOTH_NEURONS),
        ],
    },
    Plan {
        name: "meaning",
        title: "The meaning of words in context",
        shows: "Held-out accuracy of a linear probe that is asked whether a word has the same sense in two \
                sentences, against always giving the commoner answer and against the same probe on the mean of each \
                sentence's embeddings (static).",
        panels: &[one("Word in context", WIC), both("Word in context and lens entropy", WIC, LENS_ENTROPY)],
    },
    Plan {
        name: "attention",
        title: "How far heads look back",
        shows: "Means over the heads of a layer. What the first token receives, mostly for nothing, is missing from \
                every other number.",
        panels: &[
            one(
                "Attention to the token so many back",
                axis(
                    "mean weight",
                    Scale::Log,
                    &[
                        ("1", "attention_at_distance_1"),
                        ("2", "attention_at_distance_2"),
                        ("4", "attention_at_distance_4"),
                        ("8", "attention_at_distance_8"),
                        ("16", "attention_at_distance_16"),
                    ],
                ),
            ),
            one(
                "Where attention goes",
                axis(
                    "fraction",
                    Scale::Share,
                    &[("last 5 tokens", "prev5_attention_mass"), ("first token", "first_token_attention")],
                ),
            ),
        ],
    },
    Plan {
        name: "geometry",
        title: "How the residual stream grows and turns",
        shows: "Mean lengths of the residual stream before each layer and of what attention and MLP add to it; how \
                much a layer turns it, as 1 minus the cosine of before and after; how alike the states of all \
                positions are to those after the layer, and to those after the last.",
        panels: &[
            one(
                "Norms",
                axis(
                    "mean norm",
                    Scale::Log,
                    &[("residual", "resid_norm"), ("attention", "attn_out_norm"), ("MLP", "mlp_out_norm")],
                ),
            ),
            one("Block influence", axis("1 - cosine", Scale::Log, &[("block", "block_influence")])),
            one("CKA with the next place", axis("CKA", Scale::Share, &[("adjacent", "cka_adjacent")])),
            one("Cosine with the last place", axis("cosine", Scale::Share, &[("to the last", "cosine_to_final")])),
        ],
    },
    Plan {
        name: "neurons",
        title: "Neurons that write few tokens",
        shows: "MLP neurons whose output weights point at few tokens of the vocabulary, by the kurtosis of their \
                cosines with all of them.",
        panels: &[
            one("Neurons with kurtosis over 10", BOTH_NEURONS),
            one("Mean kurtosis", axis("kurtosis", Scale::Linear, &[("all neurons", "mean_kurtosis")])),
        ],
    },
    Plan {
        name: "sublayers",
        title: "Attention and MLP apart",
        shows: "What becomes of the output when only the attention or only the MLP of a layer is left out, replaced \
                by its mean, or replaced by its output on another window.",
        panels: &[
            one(
                "Left out",
                axis("KL, nats", Scale::Log, &[("attention", "delete_attention_kl"), ("MLP", "delete_mlp_kl")]),
            ),
            one(
                "Replaced by the mean",
                axis("KL, nats", Scale::Log, &[("attention", "mean_attention_kl"), ("MLP", "mean_mlp_kl")]),
            ),
            one(
                "Replaced by the next window's",
                axis("KL, nats", Scale::Log, &[("attention", "resample_attention_kl"), ("MLP", "resample_mlp_kl")]),
            ),
        ],
    },
    Plan {
        name: "repeating",
        title: "Running blocks of layers twice",
        shows: "Each layer of a block runs twice in a row; a curve is drawn at the first layer of the block.",
        panels: &[],
    },
];
