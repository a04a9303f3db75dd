//! Pairs of a query and a key in each window of a corpus: [`PairMask`] of [`AttentionPair`]s.

use std::fmt;
use std::sync::Arc;

use crate::Positions;

/// A query and a key before it, by their positions in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttentionPair {
    /// The position of the query.
    pub query: usize,
    /// The position of the key.
    pub key: usize,
}

impl AttentionPair {
    /// A query at one position and a key at another.
    pub fn new(query: usize, key: usize) -> Self {
        Self { query, key }
    }
}

/// Pairs of queries and keys in each window of a corpus, known by an id. Masks with the same `id` are taken to be equal.
///
/// ```
/// use stratigraph_core::{AttentionPair, Edit, PairMask};
///
/// // In window 0 the query at position 3 does not see the key at position 2; window 1 stays as it is.
/// let pairs = PairMask::new("one", vec![vec![AttentionPair::new(3, 2)], vec![]]);
/// assert_eq!(pairs.n_pairs(), 1);
/// assert_eq!(Edit::mask_pairs(5, pairs).to_string(), "blocks.5.attn.hook_attn_scores mask_pairs(one)");
/// ```
#[derive(Clone)]
pub struct PairMask {
    id: Arc<str>,
    windows: Arc<[Vec<AttentionPair>]>,
}

impl PairMask {
    /// The pairs of each window of a corpus; a window without a list has none.
    pub fn new(id: &str, windows: Vec<Vec<AttentionPair>>) -> Self {
        Self { id: id.into(), windows: windows.into() }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The pairs of a window.
    pub fn of_window(&self, window: usize) -> &[AttentionPair] {
        self.windows.get(window).map_or(&[], Vec::as_slice)
    }

    /// How many pairs there are in all windows together.
    pub fn n_pairs(&self) -> usize {
        self.windows.iter().map(Vec::len).sum()
    }

    /// Why it does not fit windows of `seq_len` tokens with queries at `positions`; none where it does.
    pub(super) fn check(&self, seq_len: usize, positions: &Positions) -> Result<(), String> {
        if self.n_pairs() == 0 {
            return Err("it pairs no query with a key".to_owned());
        }
        let pairs =
            self.windows.iter().enumerate().flat_map(|(window, pairs)| pairs.iter().map(move |it| (window, it)));
        if !pairs.clone().any(|(window, pair)| positions.contains(window, pair.query)) {
            return Err(format!("it pairs no query at pos={positions} with a key"));
        }
        for (window, AttentionPair { query, key }) in pairs {
            if key >= query {
                return Err(format!("in window {window} the key {key} is not before its query {query}"));
            }
            if *query >= seq_len {
                return Err(format!("window {window} has {seq_len} positions, and no query {query}"));
            }
        }
        Ok(())
    }
}

impl PartialEq for PairMask {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for PairMask {}

impl fmt::Debug for PairMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PairMask({}, {} pairs)", self.id, self.n_pairs())
    }
}
