//! What is read off a profile, and what each stage should look like: [`Measurement`] and the list [`SIGNALS`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Rule, Weights};

/// A kind of measurement. The curves of one kind say the same thing in several ways and count once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measurement {
    /// What deleting the layer does to the output.
    Deletion,
    /// What swapping it with its neighbours does.
    Swap,
    /// How much it rewrites the residual stream.
    Rewriting,
    /// How local its attention is.
    Locality,
    /// Whether words still lack their meaning in context.
    Meaning,
    /// How much of the way to the output the lens goes in it.
    Convergence,
    /// How many of its neurons speak for tokens.
    Vocabulary,
    /// How many of its neurons speak against tokens.
    Suppression,
    /// How much its MLP writes.
    MlpWrite,
}

/// How a curve becomes a number in [-1, 1] for each layer: 1 where the layer plainly shows the thing, -1 where it does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Reading {
    /// It lies above most layers' value: 0 at a robust score of [`Rule::stands_out`], 1 at [`Rule::outlier`], -1 as far below.
    High(Unit),
    /// It lies below.
    Low(Unit),
    /// The share of the way to the curve's last value that the layer goes, against an even share: `2 f - 1`.
    Approach,
    /// Its value against the largest of any layer, `2 x / max - 1`, on the square-root scale of counts.
    NearPeak,
}

/// The scale on which a curve is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    /// The logarithm: a ratio counts, not a difference.
    Log,
    /// The logarithm of one minus the value, for agreements and similarities.
    LogRest,
    /// The square root of a count, whose sampling error is one half whatever the count (Poisson).
    Count,
    /// The number itself, a kurtosis.
    Kurtosis,
    /// The number itself, an accuracy.
    Accuracy,
}

/// A curve, what it measures and how it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Signal {
    pub(crate) curve: &'static str,
    pub(crate) measurement: Measurement,
    pub(crate) reading: Reading,
    /// What stands behind a number of the curve in a sentence.
    pub(crate) unit: &'static str,
}

const fn signal(curve: &'static str, measurement: Measurement, reading: Reading, unit: &'static str) -> Signal {
    Signal { curve, measurement, reading, unit }
}

/// Everything the rule looks at.
pub(crate) const SIGNALS: [Signal; 15] = [
    signal("delete_kl", Measurement::Deletion, Reading::High(Unit::Log), " nats"),
    signal("delete_top1_agreement", Measurement::Deletion, Reading::High(Unit::LogRest), ""),
    signal("swap_kl", Measurement::Swap, Reading::High(Unit::Log), " nats"),
    signal("swap_top1_agreement", Measurement::Swap, Reading::High(Unit::LogRest), ""),
    signal("block_influence", Measurement::Rewriting, Reading::High(Unit::Log), ""),
    signal("cka_adjacent", Measurement::Rewriting, Reading::High(Unit::LogRest), ""),
    signal("prev5_attention_mass", Measurement::Locality, Reading::High(Unit::Log), " of attention"),
    signal("wic_accuracy", Measurement::Meaning, Reading::Low(Unit::Accuracy), ""),
    signal("lens_kl", Measurement::Convergence, Reading::Approach, " nats"),
    signal("lens_top1_agreement", Measurement::Convergence, Reading::Approach, ""),
    signal("lens_entropy_bits", Measurement::Convergence, Reading::Approach, " bits"),
    signal("prediction_neurons", Measurement::Vocabulary, Reading::High(Unit::Count), " neurons"),
    signal("mean_kurtosis", Measurement::Vocabulary, Reading::High(Unit::Kurtosis), ""),
    signal("suppression_neurons", Measurement::Suppression, Reading::NearPeak, " neurons"),
    signal("mlp_out_norm", Measurement::MlpWrite, Reading::High(Unit::Log), ""),
];

impl Measurement {
    /// All of them, in the order of [`SIGNALS`].
    pub(crate) const ALL: [Measurement; 9] = [
        Measurement::Deletion,
        Measurement::Swap,
        Measurement::Rewriting,
        Measurement::Locality,
        Measurement::Meaning,
        Measurement::Convergence,
        Measurement::Vocabulary,
        Measurement::Suppression,
        Measurement::MlpWrite,
    ];

    /// How often a layer of each stage should show it.
    pub(crate) fn expected(self) -> [Expected; 4] {
        use Expected::{Always, Either, Often, Rarely};
        match self {
            // The paper's U: the first and last layers cannot be removed or swapped, the middle can.
            Measurement::Deletion | Measurement::Swap => [Always, Rarely, Rarely, Always],
            // What cannot be removed often rewrites much, but need not.
            Measurement::Rewriting => [Often, Rarely, Rarely, Often],
            // Tokens are put together from their neighbours, and words get their meaning, before anything else.
            Measurement::Locality | Measurement::Meaning => [Often, Rarely, Rarely, Rarely],
            // The embedding's lens means nothing, so the first stage may do anything to it.
            Measurement::Convergence => [Either, Rarely, Always, Always],
            // Neurons that speak for tokens come with predictions, where the vocabulary lets them be seen.
            Measurement::Vocabulary => [Rarely, Rarely, Often, Often],
            Measurement::Suppression | Measurement::MlpWrite => [Rarely, Rarely, Rarely, Often],
        }
    }

    /// Its weight under a rule.
    pub(crate) fn weight(self, weights: &Weights) -> f64 {
        match self {
            Measurement::Deletion => weights.deletion,
            Measurement::Swap => weights.swap,
            Measurement::Rewriting => weights.rewriting,
            Measurement::Locality => weights.locality,
            Measurement::Meaning => weights.meaning,
            Measurement::Convergence => weights.convergence,
            Measurement::Vocabulary => weights.vocabulary,
            Measurement::Suppression => weights.suppression,
            Measurement::MlpWrite => weights.mlp_write,
        }
    }

    /// Whether a curve of which no layer stands out says nothing, rather than that no layer is special. Only of deletion
    /// and the lens is that news, since the stages are defined by them. A neuron's kurtosis has an upper bound that a small
    /// vocabulary keeps under any threshold, and the swaps of a shallow model all touch its first or last layers.
    pub(crate) fn is_silent_when_flat(self) -> bool {
        !matches!(self, Measurement::Deletion | Measurement::Convergence)
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Measurement::Deletion => "deletion",
            Measurement::Swap => "swap",
            Measurement::Rewriting => "rewriting",
            Measurement::Locality => "locality",
            Measurement::Meaning => "meaning",
            Measurement::Convergence => "convergence",
            Measurement::Vocabulary => "vocabulary",
            Measurement::Suppression => "suppression",
            Measurement::MlpWrite => "MLP write",
        })
    }
}

impl Signal {
    /// The least spread that layers are given on its scale.
    pub(crate) fn least_spread(&self, rule: &Rule) -> f64 {
        match self.reading {
            Reading::High(unit) | Reading::Low(unit) => unit.least_spread(rule),
            Reading::NearPeak => Unit::Count.least_spread(rule),
            Reading::Approach => 0.0,
        }
    }
}

/// How often a layer of a stage shows a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It belongs to the definition of the stage.
    Always,
    /// It goes along with the stage.
    Often,
    /// It has nothing to do with the stage.
    Either,
    /// It belongs to another stage.
    Rarely,
}

impl Expected {
    /// As a probability.
    pub(crate) fn probability(self, rule: &Rule) -> f64 {
        match self {
            Expected::Always => rule.always,
            Expected::Often | Expected::Either => 0.5,
            Expected::Rarely => 1.0 - rule.always,
        }
    }
}

/// Agreements and similarities above 0.99 do not differ in kind.
const LEAST_REST: f64 = 0.01;

impl Unit {
    /// The value on this scale; NaN for one that is not finite, which says nothing.
    pub(crate) fn forward(self, value: f64) -> f64 {
        match self {
            _ if !value.is_finite() => f64::NAN,
            // A millionth is what f32 logits cannot tell from nothing.
            Unit::Log => value.max(1e-6).ln(),
            Unit::LogRest => (1.0 - value).max(LEAST_REST).ln(),
            Unit::Count => value.max(0.0).sqrt(),
            Unit::Kurtosis | Unit::Accuracy => value,
        }
    }

    /// The least spread that layers are given on it.
    fn least_spread(self, rule: &Rule) -> f64 {
        match self {
            Unit::Log | Unit::LogRest => rule.least_ratio.ln(),
            Unit::Count => 0.5,
            Unit::Kurtosis => rule.least_kurtosis_spread,
            Unit::Accuracy => rule.least_accuracy_spread,
        }
    }
}
