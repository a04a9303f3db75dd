//! Which part of an activation an edit changes: [`Positions`] and [`Units`].

use std::ops::{Range, RangeFrom};
use std::sync::Arc;

/// Positions of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Positions {
    /// Every position.
    All,
    /// From this position on; written `pos=1..`.
    From(usize),
    /// These, in order and each once; written `pos=0,3..6`.
    Only(Vec<usize>),
    /// Different positions in each window of the corpus.
    Mask(PositionMask),
}

impl Positions {
    /// Positions `first` and later.
    pub fn from(first: usize) -> Self {
        if first == 0 { Positions::All } else { Positions::From(first) }
    }

    /// These positions.
    pub fn only(positions: impl IntoIterator<Item = usize>) -> Self {
        Positions::Only(sorted(positions))
    }

    /// Positions where `masks[window][position]` is true, for each window of the corpus. Masks of one `id` are taken to be
    /// equal.
    pub fn mask(id: &str, masks: Vec<Vec<bool>>) -> Self {
        Positions::Mask(PositionMask { id: id.into(), masks: masks.into() })
    }

    /// Whether a position of a window is among them.
    pub fn contains(&self, window: usize, position: usize) -> bool {
        match self {
            Positions::All => true,
            Positions::From(first) => position >= *first,
            Positions::Only(positions) => positions.binary_search(&position).is_ok(),
            Positions::Mask(mask) => {
                mask.masks.get(window).and_then(|mask| mask.get(position)).copied().unwrap_or(false)
            }
        }
    }

    /// Whether they differ between windows.
    pub(crate) fn differ(&self) -> bool {
        matches!(self, Positions::Mask(_))
    }

    pub(crate) fn is_text(&self) -> bool {
        !self.differ()
    }

    /// Whether any lies in a window of `seq_len` tokens.
    pub(crate) fn any_below(&self, seq_len: usize) -> bool {
        match self {
            Positions::All => seq_len > 0,
            Positions::From(first) => *first < seq_len,
            Positions::Only(positions) => positions.first().is_some_and(|first| *first < seq_len),
            Positions::Mask(mask) => mask.masks.iter().any(|mask| mask.iter().take(seq_len).any(|chosen| *chosen)),
        }
    }
}

impl From<RangeFrom<usize>> for Positions {
    fn from(range: RangeFrom<usize>) -> Self {
        Positions::from(range.start)
    }
}

impl From<Range<usize>> for Positions {
    fn from(range: Range<usize>) -> Self {
        Positions::only(range)
    }
}

/// Positions that differ between windows, identified by an id.
#[derive(Debug, Clone)]
pub struct PositionMask {
    id: Arc<str>,
    masks: Arc<[Vec<bool>]>,
}

impl PositionMask {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl PartialEq for PositionMask {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for PositionMask {}

/// Heads, or units of the last axis.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Units {
    /// All of them.
    All,
    /// These heads, in order and each once; written `heads=0,2`.
    Heads(Vec<usize>),
    /// These units of the last axis, such as MLP neurons; written `units=5..8`.
    Units(Vec<usize>),
}

impl Units {
    /// These heads.
    pub fn heads(heads: impl IntoIterator<Item = usize>) -> Self {
        Units::Heads(sorted(heads))
    }

    /// These units of the last axis.
    pub fn only(units: impl IntoIterator<Item = usize>) -> Self {
        Units::Units(sorted(units))
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        match self {
            Units::All => true,
            Units::Heads(chosen) | Units::Units(chosen) => chosen.binary_search(&index).is_ok(),
        }
    }
}

fn sorted(indices: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut indices: Vec<_> = indices.into_iter().collect();
    indices.sort_unstable();
    indices.dedup();
    indices
}
