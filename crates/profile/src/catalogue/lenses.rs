//! The curves of fitted lenses, [`LENSES`], and of the guesses of every lens, [`GUESSES`] and [`FIRST_AGREEMENT`].

use super::curves::SingleCurve;
use super::entry::AxisKind;
use super::sweep_rows::Row;
use crate::{Scale, Unit};

/// The group of all curves of lenses.
pub(super) const GROUP: &str = "The lens before a layer";

const fn lens(name: &'static str, title: &'static str, label: &'static str, definition: &'static str) -> Row {
    Row { name, title, label, group: GROUP, axis: |_| AxisKind::ResidualPositions, text: "0..3", definition }
}

/// Lenses that a measurement reads residual streams by; the logit lens is a sweep.
pub(super) static LENSES: [Row; 4] = [
    lens(
        "affine_lens",
        "Affine lens",
        "affine lens",
        "The residual stream before layer `l` is read by `h_l W_l + b_l`, then by the final norm and the unembedding. `W_l` \
         and `b_l` are the ridge regression of `h_L` on `h_l`, on another corpus. At `l = L` it is the model",
    ),
    lens(
        "tuned_lens",
        "Tuned lens",
        "tuned lens",
        "As `affine_lens`, with the `W_l` and `b_l` of least KL divergence from the model's predictions on another corpus",
    ),
    lens(
        "jacobian_lens",
        "Jacobian lens",
        "Jacobian lens",
        "The residual stream before layer `l` is read by `J_l h_l`, then by the final norm and the unembedding. `J_l` is the \
         mean over source positions `t` of `sum_{t' >= t} d h_L[t'] / d h_l[t]`, on another corpus. At `l = L` it is the \
         model. A lens without a matrix for a residual position has no number there",
    ),
    lens(
        "fixed_scale_lens",
        "Logit lens with one norm scale",
        "one norm scale",
        "As `lens`, with the divisor of the final norm at `h_L` of the unchanged model in place of that of `h_l`",
    ),
];

const fn agreement(name: &'static str, title: &'static str, label: &'static str) -> SingleCurve {
    SingleCurve {
        name,
        title,
        label,
        quantity: "share of positions",
        unit: Unit::Fraction,
        scale: Scale::Share,
        axis: AxisKind::ResidualPositions,
        group: GROUP,
        definition: "fraction of positions at which the lens has had the model's top-1 prediction at some residual position \
                     `l' <= l`",
    }
}

const fn frequency(name: &'static str, title: &'static str, label: &'static str) -> SingleCurve {
    SingleCurve {
        name,
        title,
        label,
        quantity: "frequency in the corpus",
        unit: Unit::Fraction,
        scale: Scale::Log,
        axis: AxisKind::ResidualPositions,
        group: GROUP,
        definition: "mean over positions of the fraction of the corpus's tokens that are the token `argmax q` of the lens",
    }
}

/// What lenses guess.
pub(super) static GUESSES: [SingleCurve; 8] = [
    agreement("lens_first_agreement", "Logit lens: first agreement with the model", "lens: has agreed"),
    agreement("affine_lens_first_agreement", "Affine lens: first agreement with the model", "affine lens: has agreed"),
    agreement("tuned_lens_first_agreement", "Tuned lens: first agreement with the model", "tuned lens: has agreed"),
    agreement(
        "jacobian_lens_first_agreement",
        "Jacobian lens: first agreement with the model",
        "Jacobian lens: has agreed",
    ),
    frequency("lens_guess_frequency", "Logit lens: frequency of the guessed token", "lens: guess frequency"),
    frequency(
        "affine_lens_guess_frequency",
        "Affine lens: frequency of the guessed token",
        "affine lens: guess frequency",
    ),
    frequency(
        "tuned_lens_guess_frequency",
        "Tuned lens: frequency of the guessed token",
        "tuned lens: guess frequency",
    ),
    frequency(
        "jacobian_lens_guess_frequency",
        "Jacobian lens: frequency of the guessed token",
        "Jacobian lens: guess frequency",
    ),
];

/// The depth of the first correct guess: names, and what lens it is of.
pub(super) const FIRST_AGREEMENT: [(&str, &str); 4] = [
    ("lens_first_agreement_depth", "logit lens"),
    ("affine_lens_first_agreement_depth", "affine lens"),
    ("tuned_lens_first_agreement_depth", "tuned lens"),
    ("jacobian_lens_first_agreement_depth", "Jacobian lens"),
];
