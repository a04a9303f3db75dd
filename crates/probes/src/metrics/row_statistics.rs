//! What the vectorised pass computes for one position: [`RowStatistics`], and for its next token: [`NextToken`].

use crate::readout::RowSums;

/// A position of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The window of the corpus.
    pub(crate) sequence: usize,
    /// The position in the window.
    pub(crate) position: usize,
    /// The token that follows in the window.
    pub(crate) next_token: Option<usize>,
}

/// Statistics of the clean and the changed distribution at one position. Each is computed when it is asked for, from sums
/// over the vocabulary.
#[derive(Debug, Clone, Copy)]
pub struct RowStatistics<'a> {
    clean: &'a RowSums,
    changed: &'a RowSums,
    at: Position,
}

/// The token that follows a position, under one of the distributions there.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct NextToken {
    /// Its id.
    pub id: usize,
    /// Its log-probability, in nats.
    pub log_prob: f64,
    /// Whether it is the most likely token, the lowest id on ties.
    pub is_top1: bool,
}

impl<'a> RowStatistics<'a> {
    pub(crate) fn new(clean: &'a RowSums, changed: &'a RowSums, at: Position) -> Self {
        Self { clean, changed, at }
    }

    /// The window of the corpus, from 0.
    pub fn sequence(&self) -> usize {
        self.at.sequence
    }

    /// The position in the window, from 0.
    pub fn position(&self) -> usize {
        self.at.position
    }

    /// The Kullback-Leibler divergence of the changed distribution from the clean one, in nats. Values between -1e-5
    /// and 0, which come from rounding, become 0.
    pub fn kl(&self) -> f64 {
        self.changed.kl()
    }

    /// The entropy of the changed distribution, in nats.
    pub fn entropy(&self) -> f64 {
        self.changed.entropy()
    }

    /// The entropy of the clean distribution, in nats.
    pub fn clean_entropy(&self) -> f64 {
        self.clean.entropy()
    }

    /// The most likely token of the changed distribution, the lowest id on ties.
    pub fn top1(&self) -> usize {
        self.changed.top1
    }

    /// The most likely token of the clean distribution, the lowest id on ties.
    pub fn clean_top1(&self) -> usize {
        self.clean.top1
    }

    pub(crate) fn has_next_token(&self) -> bool {
        self.at.next_token.is_some()
    }

    /// The token that follows, under the changed distribution; none at the last position of a window.
    pub fn next_token(&self) -> Option<NextToken> {
        self.at.next_token.map(|id| next_token(self.changed, id))
    }

    /// The token that follows, under the clean distribution; none at the last position of a window.
    pub fn clean_next_token(&self) -> Option<NextToken> {
        self.at.next_token.map(|id| next_token(self.clean, id))
    }
}

fn next_token(row: &RowSums, id: usize) -> NextToken {
    NextToken { id, log_prob: row.log_prob(), is_top1: row.top1 == id }
}
