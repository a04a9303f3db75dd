//! Rows of a corpus that are read out together, and their way into a [`ScoreSink`].

use std::ops::Range;

use stratigraph_core::TokenWindows;

use crate::reduction::Reduced;
use crate::{Metric, ProbeError, Result, ScoreSink};

/// Rows of a batch of a corpus.
pub(crate) struct Tile<'a> {
    pub(crate) windows: &'a TokenWindows,
    /// The batch's first row, counted through all windows.
    pub(crate) first: usize,
    pub(crate) rows: Range<usize>,
}

impl Tile<'_> {
    /// The rows, counted through all windows.
    fn of_corpus(&self) -> Range<usize> {
        self.first + self.rows.start..self.first + self.rows.end
    }

    /// Hands on every metric of each row.
    pub(crate) fn score(&self, clean: &[Reduced], other: &[Reduced], scores: &mut impl ScoreSink) -> Result<()> {
        let ids = self.windows.ids();
        let fraction = |yes: bool| f64::from(u8::from(yes));
        for ((row, p), q) in self.of_corpus().zip(clean).zip(other) {
            let (sequence, position) = (row / self.windows.seq_len(), row % self.windows.seq_len());
            let measure = |metric: Metric| match metric {
                Metric::Kl => q.kl(),
                Metric::EntropyBits => q.entropy_bits(),
                Metric::Nll => -q.log_prob(),
                Metric::Top1Agreement => fraction(p.top1 == q.top1),
                Metric::Accuracy => fraction(ids[row + 1] as usize == q.top1),
            };
            let measured = |metric: Metric| !metric.needs_next_token() || !self.is_last(row);
            let values = Metric::ALL.map(|metric| measured(metric).then(|| measure(metric)));
            for (metric, value) in Metric::ALL.into_iter().zip(values) {
                if let Some(value) = value.filter(|value| !value.is_finite()) {
                    return Err(ProbeError::NotFinite { metric, value, sequence, position });
                }
            }
            scores.row(sequence, position, &values);
        }
        Ok(())
    }

    /// The token after each row; any token after the last of a window.
    pub(crate) fn next_tokens(&self) -> Vec<usize> {
        let ids = self.windows.ids();
        self.of_corpus().map(|row| if self.is_last(row) { 0 } else { ids[row + 1] as usize }).collect()
    }

    fn is_last(&self, row: usize) -> bool {
        (row + 1).is_multiple_of(self.windows.seq_len())
    }
}
