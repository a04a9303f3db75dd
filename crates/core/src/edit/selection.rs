//! Which part of an activation an edit changes: [`Positions`] and [`Units`].

use std::ops::{Range, RangeFrom, RangeInclusive};
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

    /// Positions where `masks[window][position]` is true, for each window of the corpus. Masks with the same `id` are taken to be
    /// equal.
    pub fn mask(id: &str, masks: Vec<Vec<bool>>) -> Self {
        Positions::Mask(PositionMask { id: id.into(), masks: masks.into(), is_negated: false })
    }

    /// Whether a position of a window is among them.
    pub fn contains(&self, window: usize, position: usize) -> bool {
        match self {
            Positions::All => true,
            Positions::From(first) => position >= *first,
            Positions::Only(positions) => positions.binary_search(&position).is_ok(),
            Positions::Mask(mask) => mask.contains(window, position),
        }
    }

    /// All other positions of windows of `seq_len` tokens; none of `Only` where these are all.
    ///
    /// ```
    /// use stratigraph_core::Positions;
    /// assert_eq!(Positions::from(2).complement(5), Positions::only([0, 1]));
    /// assert_eq!(Positions::only([0, 3]).complement(5), Positions::only([1, 2, 4]));
    /// ```
    pub fn complement(&self, seq_len: usize) -> Self {
        match self {
            Positions::Mask(mask) => Positions::Mask(PositionMask { is_negated: !mask.is_negated, ..mask.clone() }),
            positions => Positions::only((0..seq_len).filter(|position| !positions.contains(0, *position))),
        }
    }

    /// The positions that are in both; none where one is a mask and the other is not `All`, since only the id of a mask
    /// is known.
    ///
    /// ```
    /// use stratigraph_core::Positions;
    /// assert_eq!(Positions::from(2).and(&Positions::from(4)), Some(Positions::from(4)));
    /// assert_eq!(Positions::only([0, 3]).and(&Positions::from(1)), Some(Positions::only([3])));
    /// ```
    pub fn and(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Positions::All, both) | (both, Positions::All) => Some(both.clone()),
            (one, other) if one == other => Some(one.clone()),
            (Positions::Mask(_), _) | (_, Positions::Mask(_)) => None,
            (Positions::From(a), Positions::From(b)) => Some(Positions::From(*a.max(b))),
            (Positions::Only(some), other) | (other, Positions::Only(some)) => {
                Some(Positions::only(some.iter().copied().filter(|position| other.contains(0, *position))))
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
            Positions::Mask(mask) => mask.any_below(seq_len),
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

impl From<RangeInclusive<usize>> for Positions {
    fn from(range: RangeInclusive<usize>) -> Self {
        Positions::only(range)
    }
}

/// Positions that differ between windows, identified by an id.
#[derive(Debug, Clone)]
pub struct PositionMask {
    id: Arc<str>,
    masks: Arc<[Vec<bool>]>,
    /// Whether the positions are the ones that the masks leave out.
    is_negated: bool,
}

impl PositionMask {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the positions are the ones that the masks of this id leave out.
    pub fn is_negated(&self) -> bool {
        self.is_negated
    }

    fn contains(&self, window: usize, position: usize) -> bool {
        let chosen = self.masks.get(window).and_then(|mask| mask.get(position)).copied().unwrap_or(false);
        chosen != self.is_negated
    }

    fn any_below(&self, seq_len: usize) -> bool {
        (0..self.masks.len()).any(|window| (0..seq_len).any(|position| self.contains(window, position)))
    }
}

impl PartialEq for PositionMask {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, self.is_negated) == (&other.id, other.is_negated)
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
