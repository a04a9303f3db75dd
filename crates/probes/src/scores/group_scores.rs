//! Metrics by groups of positions: [`GroupScores`].

use std::ops::Range;

use super::{Row, ScoreSink, Scores, TokenGroups};
use crate::metrics::{Metric, Metrics};
use crate::statistics::{PerSequence, SequenceCount};
use crate::{ProbeError, Result};

/// Accumulates metrics for each group of positions.
///
/// If every position belongs to a group, the mean over all positions is the mean of the groups' means, weighted by their
/// numbers of positions.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupScores {
    groups: TokenGroups,
    scores: Vec<Scores>,
}

impl GroupScores {
    /// Nothing measured yet.
    pub fn new(groups: TokenGroups) -> Self {
        let scores = vec![Scores::default(); groups.labels().len()];
        Self { groups, scores }
    }

    /// Scores that were measured before, one for each group.
    ///
    /// # Errors
    /// [`ProbeError::BadGroups`] when there are more or fewer than groups.
    pub fn from_scores(groups: TokenGroups, scores: Vec<Scores>) -> Result<Self> {
        let (n, found) = (groups.labels().len(), scores.len());
        if n == found {
            return Ok(Self { groups, scores });
        }
        let reason = format!("it has {n} groups, and scores of {found} are given");
        Err(ProbeError::BadGroups { grouping: groups.name().to_owned(), reason })
    }

    /// The groups.
    pub fn groups(&self) -> &TokenGroups {
        &self.groups
    }

    /// The scores of each group, in the order of the labels.
    pub fn scores(&self) -> &[Scores] {
        &self.scores
    }

    /// Adds what was measured on other windows.
    ///
    /// # Errors
    /// When it is of other groups or of other metrics.
    pub fn merge(&mut self, other: &GroupScores) -> Result<()> {
        if self.groups != other.groups {
            let (own, theirs) = (self.groups.name(), other.groups.name());
            let reason = format!("scores of other groups, called `{theirs}`, cannot be added to it");
            return Err(ProbeError::BadGroups { grouping: own.to_owned(), reason });
        }
        self.scores.iter_mut().zip(&other.scores).try_for_each(|(mine, theirs)| mine.merge(theirs))
    }

    /// Whether these are the scores of `metrics`, each measured once at every position that its group has in these windows and
    /// nowhere else.
    pub fn are_of(&self, metrics: &Metrics, windows: &Range<usize>) -> bool {
        let counts = |group: usize, but_last: bool| {
            let count = move |sequence| SequenceCount { sequence, count: self.groups.count(sequence, group, but_last) };
            windows.clone().map(count).filter(|of_window| of_window.count > 0)
        };
        let complete = |group: usize, (metric, measured): (&dyn Metric, &PerSequence)| {
            measured.counts().eq(counts(group, metric.needs_next_token()))
        };
        self.scores.iter().enumerate().all(|(group, scores)| {
            scores.names().eq(metrics.names())
                && metrics.iter().zip(scores.iter()).all(|(metric, (_, measured))| complete(group, (metric, measured)))
        })
    }
}

impl ScoreSink for GroupScores {
    fn begin(&mut self, metrics: &Metrics) -> Result<()> {
        self.scores.iter_mut().try_for_each(|scores| scores.begin(metrics))
    }

    fn row(&mut self, sequence: usize, position: usize, row: &Row) {
        if let Some(group) = self.groups.group(sequence, position) {
            self.scores[group].row(sequence, position, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_core::TokenWindows;

    use super::*;

    fn windows() -> TokenWindows {
        TokenWindows::new(&(0..12).collect::<Vec<_>>(), 4).unwrap()
    }

    /// Even positions, odd ones except in window 2, and none.
    fn groups() -> TokenGroups {
        let group =
            |window: usize, position: usize| (window != 2 || position.is_multiple_of(2)).then_some(position % 2);
        TokenGroups::new("parity", ["even", "odd", "neither"], &windows(), group).unwrap()
    }

    fn measured(windows: Range<usize>) -> GroupScores {
        let mut scores = GroupScores::new(groups());
        scores.begin(&Metrics::from_names(["kl", "nll"]).unwrap()).unwrap();
        for (sequence, position) in windows.flat_map(|window| (0..4).map(move |position| (window, position))) {
            let value = (sequence * 4 + position) as f64;
            scores.row(sequence, position, &[Some(value), (position < 3).then_some(-value)]);
        }
        scores
    }

    #[test]
    fn each_row_goes_to_its_group() {
        let (found, metrics) = (measured(0..3), Metrics::from_names(["kl", "nll"]).unwrap());
        let [even, odd, neither] = found.scores() else { panic!("three groups") };
        assert_eq!(even.summary("kl").unwrap().mean, (2.0 + 4.0 + 6.0 + 8.0 + 10.0) / 6.0);
        assert_eq!(odd.summary("nll").unwrap().mean, -(1.0 + 5.0) / 2.0);
        assert!(neither.summary("kl").is_err());
        assert!(found.are_of(&metrics, &(0..3)) && !found.are_of(&metrics, &(0..2)));
        assert!(!found.are_of(&Metrics::from_names(["kl"]).unwrap(), &(0..3)));
    }

    #[test]
    fn parts_merge_into_the_whole() {
        let mut merged = measured(1..3);
        merged.merge(&measured(0..1)).unwrap();
        assert_eq!(merged, measured(0..3));
        let again = GroupScores::from_scores(groups(), merged.scores().to_vec()).unwrap();
        assert_eq!(again, merged);
        assert!(GroupScores::from_scores(groups(), Vec::new()).is_err());
        let other = TokenGroups::new("all", ["all"], &windows(), |_, _| Some(0)).unwrap();
        let refused = merged.merge(&GroupScores::new(other)).unwrap_err().to_string();
        assert!(refused.starts_with("cannot group positions by `parity`: scores of other groups, called `all`"));
    }
}
