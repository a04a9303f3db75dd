//! The metrics of sweeps: [`MetricEntry`].

use super::pattern::{Captured, captured};
use super::task_scores;
use crate::{Scale, Unit};

/// What is measured at each point of a sweep.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MetricEntry {
    /// Its name, at the end of a curve's name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// A word or two for legends and headings.
    pub label: String,
    /// What it is measured in.
    pub unit: Unit,
    /// How it is drawn.
    pub scale: Scale,
    /// How it is computed.
    pub definition: String,
    /// The positions it is measured at.
    pub positions: &'static str,
}

/// A row of the table, with the number `{n}` left open.
struct Row {
    name: &'static str,
    title: &'static str,
    label: &'static str,
    unit: Unit,
    scale: Scale,
    definition: &'static str,
    positions: &'static str,
}

const ALL: &str = "all";
const NEXT: &str = "all but the last";

static METRICS: [Row; 12] = [
    Row {
        name: "kl",
        title: "KL divergence from the unchanged model",
        label: "KL",
        unit: Unit::Nats,
        scale: Scale::Log,
        definition: "`sum_v p_v (log p_v - log q_v)`; what rounding leaves between -1e-5 and 0 is 0",
        positions: ALL,
    },
    Row {
        name: "reverse_kl",
        title: "Reverse KL divergence from the unchanged model",
        label: "reverse KL",
        unit: Unit::Nats,
        scale: Scale::Log,
        definition: "`sum_v q_v (log q_v - log p_v)`; what rounding leaves between -1e-5 and 0 is 0",
        positions: ALL,
    },
    Row {
        name: "js",
        title: "Jensen-Shannon divergence from the unchanged model",
        label: "JS",
        unit: Unit::Nats,
        scale: Scale::Log,
        definition: "the mean of the KL divergences of `p` and of `q` from `(p + q) / 2`; at most `log 2`",
        positions: ALL,
    },
    Row {
        name: "top1_agreement",
        title: "Top-1 agreement with the unchanged model",
        label: "top-1 agreement",
        unit: Unit::Fraction,
        scale: Scale::Share,
        definition: "1 where `argmax q = argmax p`, else 0; on ties the lowest token id counts",
        positions: ALL,
    },
    Row {
        name: "top{n}_overlap",
        title: "Top-{n} overlap with the unchanged model",
        label: "top-{n} overlap",
        unit: Unit::Fraction,
        scale: Scale::Share,
        definition: "the fraction of the {n} most likely tokens of `p` that are among those of `q`; on ties the lowest \
                     token ids count",
        positions: ALL,
    },
    Row {
        name: "entropy_bits",
        title: "Entropy of the predictions",
        label: "entropy",
        unit: Unit::Bits,
        scale: Scale::Linear,
        definition: "`- sum_v q_v log2 q_v`",
        positions: ALL,
    },
    Row {
        name: "nll",
        title: "Loss",
        label: "loss",
        unit: Unit::Nats,
        scale: Scale::Log,
        definition: "`- log q(x_{t+1})`",
        positions: NEXT,
    },
    Row {
        name: "accuracy",
        title: "Next-token accuracy",
        label: "accuracy",
        unit: Unit::Fraction,
        scale: Scale::Share,
        definition: "1 where `argmax q = x_{t+1}`, else 0",
        positions: NEXT,
    },
    Row {
        name: "rank",
        title: "Rank of the next token",
        label: "rank",
        unit: Unit::Rank,
        scale: Scale::Log,
        definition: "1 plus the number of tokens that `q` puts before `x_{t+1}`; on ties the lower token id comes first",
        positions: NEXT,
    },
    Row {
        name: "output_rank",
        title: "Rank of the unchanged model's most likely token",
        label: "output rank",
        unit: Unit::Rank,
        scale: Scale::Log,
        definition: "1 plus the number of tokens that `q` puts before `argmax p`; on ties the lower token id comes first",
        positions: ALL,
    },
    Row {
        name: "output_probability",
        title: "Probability of the unchanged model's most likely token",
        label: "output probability",
        unit: Unit::Fraction,
        scale: Scale::Share,
        definition: "`q(argmax p)`; on ties the lowest token id counts",
        positions: ALL,
    },
    Row {
        name: "logit_difference",
        title: "Logit difference",
        label: "logit difference",
        unit: Unit::Logits,
        scale: Scale::Fitted,
        definition: "the logit of one chosen token minus that of another",
        positions: ALL,
    },
];

impl Row {
    fn entry(&self, open: Captured) -> MetricEntry {
        MetricEntry {
            name: open.fill(self.name),
            title: open.fill(self.title),
            label: open.fill(self.label),
            unit: self.unit.clone(),
            scale: self.scale,
            definition: open.fill(self.definition),
            positions: self.positions,
        }
    }
}

/// All metrics; the number in a name with one, such as `top5_overlap`, is 5.
pub fn metrics() -> Vec<MetricEntry> {
    METRICS.iter().map(|row| row.entry(Captured { text: "5", number: 5, second: "" })).collect()
}

/// The metric of a name, which may be the score of a benchmark.
pub fn find_metric(name: &str) -> Option<MetricEntry> {
    let own = METRICS.iter().find_map(|row| captured(row.name, name).map(|open| row.entry(open)));
    own.or_else(|| task_scores::find(name))
}
