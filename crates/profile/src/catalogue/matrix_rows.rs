//! The tables of matrices, row by row: [`MATRICES`], and [`SWEEPS`] over two axes.

use crate::Unit;

/// A row of the table, in which `{hook}` stands for any text and `{n}` for a number.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: Unit,
    pub(super) axes: &'static str,
    pub(super) definition: &'static str,
}

pub(super) const LAYER_AND_HEAD: &str = "layer, head";
const POSITIONS: &str = "residual positions, both ways";

const SKIPPED_AND_LATER: &str = "skipped layer `s`, later layer `l`";

const LAYER_AND_POSITION: &str = "layer, position from the end";

pub(super) static MATRICES: [Row; 15] = [
    Row { name: "cosine", title: "Cosine", unit: Unit::Cosine, axes: POSITIONS, definition: "mean of `cos(h_a, h_b)`" },
    Row {
        name: "angular_distance",
        title: "Angular distance",
        unit: Unit::HalfTurns,
        axes: POSITIONS,
        definition: "mean of `arccos(cos(h_a, h_b)) / pi`; that of `h_l` and `h_{l+n}` is the angular distance over `n` layers of \
                     Gromov et al. (arXiv 2403.17887), who take it at the last position alone",
    },
    Row {
        name: "cka",
        title: "CKA over all positions",
        unit: Unit::Dimensionless,
        axes: POSITIONS,
        definition: "linear CKA of `h_a` and `h_b`, biased estimator, over the positions of `cka_adjacent`",
    },
    Row {
        name: "cka_last_unbiased",
        title: "Unbiased CKA, last position",
        unit: Unit::Dimensionless,
        axes: POSITIONS,
        definition: "the same by the unbiased estimator HSIC_1 over the last positions of windows, when there are four or more",
    },
    Row {
        name: "merging_heads",
        title: "Attention within a word, minus that elsewhere",
        unit: Unit::Fraction,
        axes: LAYER_AND_HEAD,
        definition: "a head's attention from the last token of a four-token word to its other three, minus the attention \
                     over the same distances between other tokens",
    },
    Row {
        name: "dla_heads",
        title: "Direct logit attribution of heads",
        unit: Unit::Logits,
        axes: LAYER_AND_HEAD,
        definition: "`dla_attention` of what head `h` writes, `z_h W_O_h`; a norm after attention is taken with its gain and \
                     its scale at the position. The heads of a layer and `dla_attention_bias` add up to `dla_attention`",
    },
    Row {
        name: "skip_effect",
        title: "Change of each layer's contribution when one is skipped",
        unit: Unit::Dimensionless,
        axes: SKIPPED_AND_LATER,
        definition: "mean of `|w'_l - w_l| / |w_l|`, where `w_l = h_{l+1} - h_l` and `w'_l` is the same in the model without layer \
                     `s`; none for `l <= s` and where `w_l` is 0",
    },
    Row {
        name: "skip_effect_later_tokens",
        title: "The same in later tokens alone",
        unit: Unit::Dimensionless,
        axes: SKIPPED_AND_LATER,
        definition: "as `skip_effect`, with layer `s` skipped at the first half of a window's positions (rounded down), over \
                     the others: how far the computation at a token reaches later ones",
    },
    Row {
        name: "ensemble_{hook}_tokens",
        title: "Tokens by their cosine with a neuron of an ensemble",
        unit: Unit::Count,
        axes: "neuron and class of tokens, cosine",
        definition: "how many tokens with the suffix, and how many others, have a cosine with the output weights of the neuron \
                     in each of 40 bins between the smallest and the largest of all that are shown. Of the first six neurons of \
                     `ensemble_{hook}_neurons`",
    },
    Row {
        name: "ensemble_{hook}_verbs",
        title: "Ensemble of neurons, before verbs",
        unit: Unit::Fraction,
        axes: "probe or model, neurons `k`",
        definition: "as `ensemble_{hook}`, where the next word is a form of a verb, with the suffix in half of the windows. A word is \
                     a form of a verb if it is one of a list of irregular forms, or if the text or the vocabulary also has its \
                     forms in -ing and -ed",
    },
    Row {
        name: "ensemble_{hook}",
        title: "Ensemble of neurons",
        unit: Unit::Fraction,
        axes: "probe or model, neurons `k`",
        definition: "accuracy of probes on `k` neurons, and of the model, in telling whether the next word ends in the suffix. \
                     Of the 1,024 neurons whose cosines with tokens that have the suffix differ most from those with others, up \
                     or down, the 32 with the largest difference among those with a kurtosis over 10, and others if these are \
                     fewer",
    },
    Row {
        name: "patch_{hook}_heads_denoise",
        title: "Clean heads ({hook}) into the corrupted run",
        unit: Unit::Fraction,
        axes: LAYER_AND_HEAD,
        definition: "`(d - d_corrupted) / (d_clean - d_corrupted)`, mean over pairs of prompts, where `d` is the logit \
                     difference of a pair's answers after its corrupted prompt, with the activation of one head at all \
                     positions taken from the clean prompt",
    },
    Row {
        name: "patch_{hook}_heads_noise",
        title: "Corrupted heads ({hook}) into the clean run",
        unit: Unit::Fraction,
        axes: LAYER_AND_HEAD,
        definition: "the same after the clean prompt, with the head's activation taken from the corrupted one",
    },
    Row {
        name: "patch_{hook}_denoise",
        title: "Clean {hook} into the corrupted run",
        unit: Unit::Fraction,
        axes: LAYER_AND_POSITION,
        definition: "the same after the corrupted prompt, with the activation at one position taken from the clean one; mean \
                     over the pairs that have the position",
    },
    Row {
        name: "patch_{hook}_noise",
        title: "Corrupted {hook} into the clean run",
        unit: Unit::Fraction,
        axes: LAYER_AND_POSITION,
        definition: "the same after the clean prompt, with the activation at one position taken from the corrupted one",
    },
];

/// Sweeps over two axes; their matrices are named after the sweep and the metric, and have the metric's unit.
pub(super) static SWEEPS: [Row; 8] = [
    Row {
        name: "zero_heads",
        title: "Zeroing a head",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "what head `h` of layer `l` gives to the output weights (`hook_z`) is replaced by zero",
    },
    Row {
        name: "mean_heads",
        title: "Mean-ablating a head",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by its mean in the unchanged model, over all positions and windows",
    },
    Row {
        name: "mean_each_heads",
        title: "Mean-ablating a head by position",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by its mean in the unchanged model at the same position, over \
                     all windows",
    },
    Row {
        name: "mean_after_first_heads",
        title: "Mean-ablating a head by the mean after the first position",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by its mean in the unchanged model, over all positions but the first \
                     and all windows",
    },
    Row {
        name: "mean_from_{n}_heads",
        title: "Mean-ablating a head by the mean from position {n} on",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by its mean in the unchanged model, over all positions from {n} \
                     on and all windows",
    },
    Row {
        name: "resample_heads",
        title: "Resample-ablating a head",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "`hook_z` of the head is replaced by what the head gives in the unchanged model at the same position \
                     of the next window, of another document where there are several",
    },
    Row {
        name: "patch_{hook}_heads",
        title: "Patching a head of {hook}",
        unit: Unit::Dimensionless,
        axes: LAYER_AND_HEAD,
        definition: "the activation of one head of layer `l` is taken from another run, at every position",
    },
    Row {
        name: "patch_{hook}",
        title: "Patching {hook}",
        unit: Unit::Dimensionless,
        axes: "layer, position",
        definition: "the activation of layer `l` at one position is taken from another run",
    },
];
