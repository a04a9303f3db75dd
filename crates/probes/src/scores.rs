//! Every metric of one run: [`Scores`] per window, [`PositionScores`] per position, and what takes either: [`ScoreSink`].

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Metric, PerSequence, Summary};

/// A number for each [`Metric`], in the order of [`Metric::ALL`]; none where a metric has none.
pub type Row = [Option<f64>; Metric::ALL.len()];

/// Where a [`Readout`](crate::Readout) puts what it measures.
pub trait ScoreSink {
    /// Takes the numbers of a position of a window, which are finite.
    fn row(&mut self, sequence: usize, position: usize, row: &Row);
}

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

    /// Whether every metric was measured once at each position that it has in these windows, and nowhere else.
    pub fn are_of(&self, windows: &Range<usize>, seq_len: usize) -> bool {
        Metric::ALL.into_iter().all(|metric| {
            let positions = seq_len - usize::from(metric.needs_next_token());
            self.of(metric).counts().eq(windows.clone().map(|window| (window, positions as u64)))
        })
    }

    /// Adds what was measured on other windows, or on other positions of the same.
    pub fn merge(&mut self, other: &Scores) {
        for (mine, theirs) in self.metrics.iter_mut().zip(&other.metrics) {
            mine.merge(theirs);
        }
    }
}

impl ScoreSink for Scores {
    fn row(&mut self, sequence: usize, _position: usize, row: &Row) {
        for (measured, value) in self.metrics.iter_mut().zip(row) {
            value.iter().for_each(|&value| measured.push(sequence, value));
        }
    }
}

/// Each [`Metric`] of each position.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PositionScores {
    /// Window, position in it, numbers: in the order in which they were measured, that of the corpus.
    pub rows: Vec<(usize, usize, Row)>,
}

impl ScoreSink for PositionScores {
    fn row(&mut self, sequence: usize, position: usize, row: &Row) {
        self.rows.push((sequence, position, *row));
    }
}
