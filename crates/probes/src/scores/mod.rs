//! Every metric of one run: [`Scores`] per window, [`PositionScores`] per position, [`GroupScores`] per group of positions,
//! and what takes any of them: [`ScoreSink`].

mod by_name;
mod group_scores;
mod token_groups;

use std::ops::Range;
use std::sync::Arc;

pub use group_scores::GroupScores;
pub use token_groups::TokenGroups;

use crate::metrics::Metrics;
use crate::statistics::{PerSequence, SequenceCount, Summary};
use crate::{ProbeError, Result};

/// A number for each metric of a set, in the order of the set; none where a metric is not defined.
pub type Row = [Option<f64>];

/// A receiver of the values that a [`Readout`](crate::readout::Readout) measures.
pub trait ScoreSink {
    /// The rows that follow hold these metrics, in this order. Called before the first row of each batch of windows.
    ///
    /// # Errors
    /// When the sink holds other metrics.
    fn begin(&mut self, _metrics: &Metrics) -> Result<()> {
        Ok(())
    }

    /// Takes the numbers of a position of a window, which are finite.
    fn row(&mut self, sequence: usize, position: usize, row: &Row);
}

impl<S: ScoreSink> ScoreSink for &mut S {
    fn begin(&mut self, metrics: &Metrics) -> Result<()> {
        (**self).begin(metrics)
    }

    fn row(&mut self, sequence: usize, position: usize, row: &Row) {
        (**self).row(sequence, position, row);
    }
}

/// Accumulates metrics over the positions of a corpus, each under its name.
///
/// Scores that hold no metric yet take on those of the first readout or of the first scores that are merged into them.
/// Written with serde they are a map from names to numbers, in the order of the set.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    names: Arc<[String]>,
    /// By name.
    measured: Vec<PerSequence>,
}

impl Scores {
    /// Nothing measured yet, of these metrics.
    pub fn new(metrics: &Metrics) -> Self {
        Self::with_names(metrics.shared_names().clone())
    }

    fn with_names(names: Arc<[String]>) -> Self {
        let measured = vec![PerSequence::default(); names.len()];
        Self { names, measured }
    }

    /// The names of the metrics, in their order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The values of one metric, by window.
    pub fn get(&self, name: &str) -> Option<&PerSequence> {
        let index = self.names.iter().position(|own| own == name)?;
        Some(&self.measured[index])
    }

    /// Each metric's name with its values by window, in the order of the set.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &PerSequence)> {
        self.names().zip(&self.measured)
    }

    /// The mean of one metric and its standard error.
    ///
    /// # Errors
    /// When there is no metric of that name, or it has no value at any position.
    pub fn summary(&self, name: &str) -> Result<Summary> {
        let unknown = || ProbeError::UnknownMetric { name: name.to_owned(), known: self.names.join(", ") };
        let measured = self.get(name).ok_or_else(unknown)?;
        if measured.counts().next().is_none() {
            return Err(ProbeError::MetricWithoutValues { name: name.to_owned() });
        }
        Ok(measured.summary())
    }

    /// Whether these are the scores of `metrics`, each measured once at every position that it has in these windows and
    /// nowhere else; `n_positions` positions of each window count, the last one included.
    pub fn are_of(&self, metrics: &Metrics, windows: &Range<usize>, n_positions: usize) -> bool {
        let counts_of = |needs_next_token: bool| {
            let count = (n_positions - usize::from(needs_next_token)) as u64;
            windows.clone().map(move |sequence| SequenceCount { sequence, count })
        };
        let complete = |(metric, measured): (&dyn crate::metrics::Metric, &PerSequence)| {
            measured.counts().eq(counts_of(metric.needs_next_token()))
        };
        self.names == *metrics.shared_names() && metrics.iter().zip(&self.measured).all(complete)
    }

    /// Adds the scores of other windows, or of other positions of the same windows.
    ///
    /// # Errors
    /// When those are of other metrics, or of the same in another order.
    pub fn merge(&mut self, other: &Scores) -> Result<()> {
        self.take_on(&other.names)?;
        self.measured.iter_mut().zip(&other.measured).for_each(|(mine, theirs)| mine.merge(theirs));
        Ok(())
    }

    fn take_on(&mut self, names: &Arc<[String]>) -> Result<()> {
        if self.names.is_empty() {
            *self = Self::with_names(names.clone());
        }
        check_names(&self.names, names)
    }
}

impl Default for Scores {
    /// Scores that hold no metric yet.
    fn default() -> Self {
        Self::with_names(Arc::new([]))
    }
}

impl ScoreSink for Scores {
    fn begin(&mut self, metrics: &Metrics) -> Result<()> {
        self.take_on(metrics.shared_names())
    }

    fn row(&mut self, sequence: usize, _position: usize, row: &Row) {
        for (measured, value) in self.measured.iter_mut().zip(row) {
            value.iter().for_each(|&value| measured.push(sequence, value));
        }
    }
}

/// Each metric at each position.
///
/// Scores that hold no metric yet take on those of the first readout.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionScores {
    names: Arc<[String]>,
    /// Window and position of each row.
    places: Vec<(usize, usize)>,
    /// The rows, one after the other.
    values: Vec<Option<f64>>,
}

/// The metrics of one position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionRow<'a> {
    /// The window of the corpus.
    pub sequence: usize,
    /// The position in the window.
    pub position: usize,
    /// A number for each metric, in the order of the names.
    pub values: &'a Row,
}

impl PositionScores {
    /// Nothing measured yet, of these metrics.
    pub fn new(metrics: &Metrics) -> Self {
        Self { names: metrics.shared_names().clone(), ..Self::default() }
    }

    /// The names of the metrics, in their order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The positions in the order in which they were measured, that of the corpus.
    pub fn rows(&self) -> impl Iterator<Item = PositionRow<'_>> {
        let n = self.names.len();
        let row = move |(index, &(sequence, position)): (usize, &(usize, usize))| {
            let values = &self.values[index * n..][..n];
            PositionRow { sequence, position, values }
        };
        self.places.iter().enumerate().map(row)
    }
}

impl Default for PositionScores {
    /// Scores that hold no metric yet.
    fn default() -> Self {
        Self { names: Arc::new([]), places: Vec::new(), values: Vec::new() }
    }
}

impl ScoreSink for PositionScores {
    fn begin(&mut self, metrics: &Metrics) -> Result<()> {
        if self.names.is_empty() {
            self.names = metrics.shared_names().clone();
        }
        check_names(&self.names, metrics.shared_names())
    }

    fn row(&mut self, sequence: usize, position: usize, row: &Row) {
        self.places.push((sequence, position));
        self.values.extend_from_slice(row);
    }
}

fn check_names(expected: &[String], found: &[String]) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(ProbeError::OtherMetrics { found: found.join(", "), expected: expected.join(", ") })
}
