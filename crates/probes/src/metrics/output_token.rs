//! Metrics of the token that the clean distribution finds most likely, under the changed one: [`OutputRank`] and
//! [`OutputProbability`].

use std::sync::Arc;

use super::{LogitRows, Metric, MetricInput};

/// The metrics of this file, which are found by their names.
pub(super) fn built_in() -> [Arc<dyn Metric>; 2] {
    [Arc::new(OutputRank), Arc::new(OutputProbability)]
}

/// The [rank](super::LogitRow::rank) of the clean distribution's most likely token among all tokens of the changed distribution: 1
/// exactly where [`Top1Agreement`](super::Top1Agreement) is 1. With a lens, the rank of the model's own most likely token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputRank;

impl Metric for OutputRank {
    fn name(&self) -> &str {
        "output_rank"
    }

    fn unit(&self) -> &str {
        "rank"
    }

    fn is_comparison(&self) -> bool {
        true
    }

    fn input(&self) -> MetricInput {
        MetricInput::Logits
    }

    fn of_logits(&self, rows: &LogitRows) -> Option<f64> {
        rows.changed().rank(rows.clean().top1()).map(|rank| rank as f64)
    }
}

/// The probability of the clean distribution's most likely token under the changed distribution; with a lens, that of the model's
/// own most likely token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputProbability;

impl Metric for OutputProbability {
    fn name(&self) -> &str {
        "output_probability"
    }

    fn unit(&self) -> &str {
        "fraction"
    }

    fn is_comparison(&self) -> bool {
        true
    }

    fn input(&self) -> MetricInput {
        MetricInput::Logits
    }

    fn of_logits(&self, rows: &LogitRows) -> Option<f64> {
        rows.changed().log_prob(rows.clean().top1()).map(f64::exp)
    }
}
