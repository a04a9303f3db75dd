//! The figures of curves, as tables: their headings, and the curves of each panel by name.

use super::names::{lenses, removals};

/// A figure that is drawn when the profile has curves for it.
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) caption: &'static str,
    pub(super) panels: &'static [Wanted],
}

/// A panel; without a title it has that of its metric or curve.
pub(super) struct Wanted {
    pub(super) title: Option<&'static str>,
    pub(super) left: Side,
    pub(super) right: Side,
    /// Whether it is drawn only with both axes.
    pub(super) needs_both: bool,
    /// It is drawn only where one of these curves is there; whenever it has any curve where none is listed.
    pub(super) needs_any: &'static [&'static str],
}

/// The names of the curves of one vertical axis, and of single numbers to compare them with.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub(super) curves: &'static [&'static str],
    pub(super) references: &'static [&'static str],
}

const fn side(curves: &'static [&'static str]) -> Side {
    Side { curves, references: &[] }
}

const fn one(left: Side) -> Wanted {
    Wanted { title: None, left, right: side(&[]), needs_both: false, needs_any: &[] }
}

const fn titled(title: &'static str, left: Side, right: Side) -> Wanted {
    Wanted { title: Some(title), left, right, needs_both: false, needs_any: &[] }
}

const fn both(title: &'static str, left: Side, right: Side) -> Wanted {
    Wanted { title: Some(title), left, right, needs_both: true, needs_any: &[] }
}

/// Curves next to curves of other figures, for comparison; drawn only where one of `needs_any` is there.
const fn compared(title: &'static str, left: Side, needs_any: &'static [&'static str]) -> Wanted {
    Wanted { title: Some(title), left, right: side(&[]), needs_both: false, needs_any }
}

const NOTHING: Side = side(&[]);
const DELETE_AND_SWAP: Side = side(&["delete_kl", "swap_kl"]);
const LAST_FIVE: Side = side(&["prev5_attention_mass"]);
const LENS_KL: Side = side(&["lens_kl"]);
const LENS_ENTROPY: Side = side(&["lens_entropy_bits"]);
const MLP_NORM: Side = side(&["mlp_out_norm"]);
const CENTRED_NORMS: Side = side(&["centred_resid_norm", "centred_attn_out_norm", "centred_mlp_out_norm"]);
const PREDICTION: Side = side(&["prediction_neurons"]);
const SUPPRESSION: Side = side(&["suppression_neurons"]);
const BOTH_NEURONS: Side = side(&["prediction_neurons", "suppression_neurons"]);
const WIC: Side = Side { curves: &["wic_accuracy"], references: &["wic_majority", "wic_static"] };

/// The number of curves that differ in colour and dash.
pub(super) const MOST: usize = 12;

/// The figure of sweeps over blocks of one length, and the metrics that it shows.
pub(super) const REPEATING: &str = "repeating";
pub(super) const REPEATED: [&str; 4] = ["entropy_bits", "nll", "kl", "top1_agreement"];

/// In the order in which a reader wants them.
pub(super) const PLANS: [Plan; 18] = [
    Plan {
        name: "signatures",
        title: "The signatures of the stages",
        caption: "What each stage is recognised by: early layers that cannot be removed and attend to the tokens just \
                  before; a robust stretch in which the meaning of words forms; prediction neurons while the lens comes \
                  closer to the model's answer; at the end suppression neurons and large MLP outputs. Curves marked → are \
                  measured by the right axis.",
        panels: &[
            titled("Deleting and swapping layers", DELETE_AND_SWAP, NOTHING),
            titled("Words are joined", LAST_FIVE, WIC),
            titled("Predictions form", LENS_KL, PREDICTION),
            titled("Predictions are sharpened", MLP_NORM, SUPPRESSION),
        ],
    },
    Plan {
        name: "damage",
        title: "Deleting and swapping layers",
        caption: "The output distribution after deleting a layer, or after running it and the next in the other order, \
                  compared with the unchanged model's. A swap is drawn between its two layers. Where deleting a layer costs \
                  much less once the first position still passes through it, the layer makes the attention sink.",
        panels: &[
            one(side(&["delete_kl", "delete_after_first_kl", "swap_kl"])),
            one(side(&["delete_top1_agreement", "delete_after_first_top1_agreement", "swap_top1_agreement"])),
        ],
    },
    Plan {
        name: "lens",
        title: "What the residual stream predicts",
        caption: "The logit lens: the final norm and the unembedding applied to the residual stream before each layer, \
                  and after the last. Fitted lenses map the stream to the last one before. Early guesses are often frequent \
                  tokens.",
        panels: &[
            one(side(lenses!("kl"))),
            one(Side { curves: lenses!("entropy_bits"), references: &["clean_entropy_bits"] }),
            one(side(lenses!("top1_agreement"))),
            one(Side { curves: lenses!("nll"), references: &["clean_nll"] }),
            titled("Positions at which the lens has agreed with the model", side(lenses!("first_agreement")), NOTHING),
            titled("Frequency of the guessed token", side(lenses!("guess_frequency")), NOTHING),
        ],
    },
    Plan {
        name: "lens_and_neurons",
        title: "The lens and the neurons that write single tokens",
        caption: "Prediction neurons raise a few tokens and suppression neurons lower a few; where they become many, the \
                  lens should come closer to the model's answer.",
        panels: &[
            both("Lens KL and neurons", LENS_KL, BOTH_NEURONS),
            both("Lens entropy and neurons", LENS_ENTROPY, BOTH_NEURONS),
        ],
    },
    Plan {
        name: "meaning",
        title: "The meaning of words in context",
        caption: "Held-out accuracy of a linear probe that decides whether a word has the same sense in two sentences, \
                  compared with the same answer to all pairs (majority) and with the same probe on the mean of each \
                  sentence's embeddings (static embeddings).",
        panels: &[one(WIC), both("Word-in-Context and lens entropy", WIC, LENS_ENTROPY)],
    },
    Plan {
        name: "attention",
        title: "How far heads look back",
        caption: "Means over the heads of a layer. Most heads give the first token much attention without using it; that \
                  part is missing from the attention to all others, and the queries next to the first token count it as near.",
        panels: &[
            titled(
                "Attention by distance in tokens",
                side(&[
                    "attention_at_distance_1",
                    "attention_at_distance_2",
                    "attention_at_distance_4",
                    "attention_at_distance_8",
                    "attention_at_distance_16",
                ]),
                NOTHING,
            ),
            titled(
                "Where attention goes",
                side(&["prev5_attention_mass", "prev5_attention_mass_after_first", "first_token_attention"]),
                NOTHING,
            ),
        ],
    },
    Plan {
        name: "geometry",
        title: "How the residual stream grows and turns",
        caption: "Mean lengths of the residual stream before each layer and of what attention and MLP add to it; whether they \
                  add along it or against it; how many directions a window's positions span (matrix entropy); how much a layer \
                  turns it, as 1 minus the cosine of input and output; how similar the states of all positions \
                  are to those after the layer, and to those after the last.",
        panels: &[
            titled("Norms", side(&["resid_norm", "first_position_norm", "attn_out_norm", "mlp_out_norm"]), NOTHING),
            titled("Cosine of writes with the stream", side(&["attn_write_cosine", "mlp_write_cosine"]), NOTHING),
            one(side(&["matrix_entropy"])),
            one(side(&["block_influence"])),
            one(side(&["cka_adjacent", "cka_adjacent_after_first", "cka_adjacent_by_window"])),
            one(side(&["cosine_to_final"])),
            titled("Norms without the mean over d_model", CENTRED_NORMS, NOTHING),
        ],
    },
    Plan {
        name: "neurons",
        title: "Neurons that write single tokens",
        caption: "MLP neurons whose output weights point at a few tokens of the vocabulary, by the kurtosis of their \
                  cosines with all of them.",
        panels: &[
            titled("Neurons with kurtosis over 10", BOTH_NEURONS, NOTHING),
            titled("Share of all neurons", side(&["prediction_neuron_share", "suppression_neuron_share"]), NOTHING),
            one(side(&["mean_kurtosis"])),
        ],
    },
    Plan {
        name: "sublayers",
        title: "Attention and MLP apart",
        caption: "The output distribution when only the attention or only the MLP of a layer is deleted, replaced by its \
                  mean, or replaced by its output on another window.",
        panels: &[
            titled("Deleted", side(&["delete_attention_kl", "delete_mlp_kl"]), NOTHING),
            titled("Replaced by the mean", side(&["mean_attention_kl", "mean_mlp_kl"]), NOTHING),
            titled("Replaced by the next window's", side(&["resample_attention_kl", "resample_mlp_kl"]), NOTHING),
        ],
    },
    Plan {
        name: "attribution",
        title: "Direct logit attribution of sublayers",
        caption: "What attention and MLP of each layer add to the logit of the next token, above the mean logit over the \
                  vocabulary, by the path from their output to the unembedding alone. The layers, the embedding and the \
                  final biases add up to the centred logit.",
        panels: &[titled("Attribution by layer", side(&["dla_attention", "dla_mlp", "dla_attention_bias"]), NOTHING)],
    },
    Plan {
        name: "effects",
        title: "Direct and total effects of sublayers on the loss",
        caption: "How much the loss rises when only the last residual stream loses what a sublayer writes (direct), and when \
                  later layers read the change too (total). Self-repair is the direct less the total effect of zero \
                  ablation: later layers make up for the loss where it is positive, and depend on the sublayer where it is \
                  negative.",
        panels: &[
            titled("Direct effects", side(&["direct_attention", "direct_mlp"]), NOTHING),
            titled("Total effects of zero ablation", side(&["total_attention", "total_mlp"]), NOTHING),
            titled(
                "Total effects of mean and resample ablation",
                side(&["total_mean_attention", "total_mean_mlp", "total_resample_attention", "total_resample_mlp"]),
                NOTHING,
            ),
            titled("Self-repair", side(&["self_repair_attention", "self_repair_mlp"]), NOTHING),
        ],
    },
    Plan {
        name: "patching",
        title: "The layer from which the last position carries the answer",
        caption: "The residual stream of the last position taken from the other prompt of a pair: 1 is the answer as after the \
                  clean prompt, 0 as after the corrupted one. Bands are 95 % bootstrap intervals over pairs. Where the curves \
                  cross, the answer has come to the last position.",
        panels: &[titled(
            "The last position patched",
            side(&["patch_resid_pre_last_denoise", "patch_resid_pre_last_noise"]),
            NOTHING,
        )],
    },
    Plan {
        name: "positions",
        title: "Without the first position",
        caption: "Layers deleted or swapped at all positions, and at all but the first, whose massive activations are the \
                  attention sink of most models.",
        panels: &[
            compared("Deleted", side(&["delete_kl", "delete_after_first_kl"]), &["delete_after_first_kl"]),
            compared("Swapped", side(&["swap_kl", "swap_after_first_kl"]), &["swap_after_first_kl"]),
        ],
    },
    Plan {
        name: "frozen",
        title: "Deleting a layer under frozen patterns and norms",
        caption: "A layer deleted as it is, and while the attention patterns or the norms of all later layers stay as in the \
                  unchanged model.",
        panels: &[compared(
            "Deleted",
            side(&["delete_kl", "delete_frozen_patterns_kl", "delete_frozen_norms_kl"]),
            &["delete_frozen_patterns_kl", "delete_frozen_norms_kl"],
        )],
    },
    Plan {
        name: "knock_out_words",
        title: "Attention knocked out within words and across",
        caption: "The tokens of words do not attend to the earlier tokens of their word; in comparison, as many pairs of tokens \
                  of different words at the same distances.",
        panels: &[
            titled("Knocked out", side(&["knock_out_within_words_kl", "knock_out_across_words_kl"]), NOTHING),
            one(side(&["knock_out_words_kl"])),
        ],
    },
    Plan {
        name: "steering",
        title: "Steering: target and cost",
        caption: "A vector is added to an activation, multiplied by the strength on the horizontal axis. The target is measured \
                  on prompts, everything else on the corpus. At strength 0 the unchanged model runs.",
        panels: &[
            titled("Target and loss", side(&["steer_target"]), side(&["steer_nll"])),
            one(side(&["steer_kl"])),
            titled("Predictions on the corpus", side(&["steer_top1_agreement", "steer_accuracy"]), NOTHING),
        ],
    },
    Plan {
        name: "removing",
        title: "Removing layers by criteria",
        caption: "More and more layers left out, chosen by a criterion that was computed on the same windows.",
        panels: &[
            one(Side { curves: removals!("nll"), references: &["clean_nll"] }),
            one(side(removals!("top1_agreement"))),
            one(side(removals!("kl"))),
        ],
    },
    Plan {
        name: REPEATING,
        title: "Blocks of layers",
        caption: "Blocks of neighbouring layers repeated, skipped, reversed, shuffled or run in parallel; a curve is drawn at the \
                  first layer of the block. Repeat N runs each layer of a block twice in a row.",
        panels: &[],
    },
];
