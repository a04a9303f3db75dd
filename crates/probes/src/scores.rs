//! Every metric of one run, per window: [`Scores`].

use serde::{Deserialize, Serialize};

use crate::{Metric, PerSequence, ProbeError, Result, Summary};

/// Accumulates each [`Metric`] over the positions of a corpus.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    metrics: [PerSequence; Metric::ALL.len()],
}

impl Scores {
    /// What was accumulated of one metric.
    pub fn of(&self, metric: Metric) -> &PerSequence {
        &self.metrics[metric as usize]
    }

    /// The mean of one metric and its standard error.
    pub fn summary(&self, metric: Metric) -> Summary {
        self.of(metric).summary()
    }

    /// Adds what was measured on other windows, or on other positions of the same.
    pub fn merge(&mut self, other: &Scores) {
        for (mine, theirs) in self.metrics.iter_mut().zip(&other.metrics) {
            mine.merge(theirs);
        }
    }

    /// Adds one position's number.
    pub(crate) fn push(&mut self, metric: Metric, sequence: usize, position: usize, value: f64) -> Result<()> {
        if !value.is_finite() {
            return Err(ProbeError::NotFinite { metric, value, sequence, position });
        }
        self.metrics[metric as usize].push(sequence, value);
        Ok(())
    }
}
