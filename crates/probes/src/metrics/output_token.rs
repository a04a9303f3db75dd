//! Metrics of the token that the clean distribution finds most likely, under the changed one: [`OutputRank`] and
//! [`OutputProbability`].

use std::sync::Arc;

use super::{LogitRows, Metric, MetricInput};

/// The metrics of this file, which are found by their names.
pub(super) fn built_in() -> [Arc<dyn Metric>; 2] {
    [Arc::new(OutputRank), Arc::new(OutputProbability)]
}

/// The rank of the clean distribution's most likely token among all tokens of the changed distribution, from 1; with a lens, the
/// rank of the token that the model puts out.
///
/// Tokens with a larger logit come before it, and so do those with the same logit and a lower id: the rank is 1 exactly where
/// [`Top1Agreement`](super::Top1Agreement) is 1.
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
        let (logits, token) = (rows.changed().logits(), *rows.clean().top_k(1).first()?);
        let logit = *logits.get(token)?;
        let larger = logits.iter().filter(|&&other| other > logit).count();
        let equal_before = logits[..token].iter().filter(|&&other| other == logit).count();
        Some((1 + larger + equal_before) as f64)
    }
}

/// The probability of the clean distribution's most likely token under the changed distribution; with a lens, that of the token
/// that the model puts out.
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
        let token = *rows.clean().top_k(1).first()?;
        rows.changed().log_prob(token).map(f64::exp)
    }
}
