//! A metric of its own: [`Doubt`].

use stratigraph::prelude::*;

/// One minus the probability of the most likely token of the changed distribution.
pub struct Doubt;

impl Metric for Doubt {
    fn name(&self) -> &str {
        "doubt"
    }

    fn unit(&self) -> &str {
        "fraction"
    }

    fn input(&self) -> MetricInput {
        MetricInput::Logits
    }

    fn of_logits(&self, rows: &LogitRows) -> Option<f64> {
        Some(1.0 - rows.changed().probabilities().fold(0.0, f64::max))
    }
}
