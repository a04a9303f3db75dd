//! Rows of a batch of windows, and the place of each in the corpus: [`BatchRows`].

use std::ops::Range;

use stratigraph_core::TokenWindows;

use crate::metrics::Position;

/// The positions of some windows of a corpus, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct BatchRows<'a> {
    pub(crate) windows: &'a TokenWindows,
    /// The batch's first window.
    pub(crate) first_sequence: usize,
}

impl BatchRows<'_> {
    /// The window and position of a row, and the token that follows.
    pub(crate) fn position(&self, row: usize) -> Position {
        let seq_len = self.windows.seq_len();
        let (sequence, position) = (self.first_sequence + row / seq_len, row % seq_len);
        let next = || self.windows.ids()[sequence * seq_len + position + 1] as usize;
        Position { sequence, position, next_token: (position + 1 < seq_len).then(next) }
    }

    /// The token after each row; any token after the last of a window.
    pub(crate) fn next_tokens(&self, rows: Range<usize>) -> Vec<usize> {
        rows.map(|row| self.position(row).next_token.unwrap_or(0)).collect()
    }
}
