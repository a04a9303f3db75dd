//! Which positions of a corpus belong together: [`TokenGroups`].

use std::collections::BTreeSet;
use std::sync::Arc;

use stratigraph_core::TokenWindows;

use crate::{ProbeError, Result};

/// Which group each position of a corpus belongs to, under a name such as `class`.
///
/// A metric of the prediction at a position goes to the group of that position, which is usually defined by the token that is
/// read there. [`by_name`](TokenGroups::by_name) makes the built-in groupings, [`new`](TokenGroups::new) any other.
///
/// ```
/// use stratigraph_core::TokenWindows;
/// use stratigraph_probes::scores::TokenGroups;
///
/// let windows = TokenWindows::new(&[5, 6, 7, 8, 9, 10], 3)?;
/// let halves = TokenGroups::new("half", ["first", "second"], &windows, |_, position| Some(position / 2))?;
/// assert_eq!(halves.group(1, 2), Some(1));
/// assert_eq!(halves.sizes(), [4, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenGroups {
    name: Arc<str>,
    labels: Arc<[String]>,
    seq_len: usize,
    /// The group of each position, window after window; [`NONE`] for one that belongs to none.
    of: Arc<[u16]>,
}

/// Stands for no group.
const NONE: u16 = u16::MAX;

impl TokenGroups {
    /// A grouping called `name` with a label for each group. `group` gives the group of a position of a window, both from 0,
    /// as an index of the labels; none leaves the position out. Positions that [do not count](TokenWindows::scored_from) belong
    /// to no group.
    ///
    /// # Errors
    /// [`ProbeError::BadGroups`] when there are no windows, the name or a label is empty, two labels are equal, there are none
    /// or 65,535 and more, or a position is given a group that does not exist.
    pub fn new<L: Into<String>>(
        name: impl Into<String>,
        labels: impl IntoIterator<Item = L>,
        windows: &TokenWindows,
        mut group: impl FnMut(usize, usize) -> Option<usize>,
    ) -> Result<Self> {
        let (name, labels) = (name.into(), labels.into_iter().map(Into::into).collect::<Vec<String>>());
        let bad = |reason: String| ProbeError::BadGroups { grouping: name.clone(), reason };
        if windows.n_sequences() == 0 {
            return Err(bad("the corpus has no windows".to_owned()));
        }
        check_labels(&name, &labels).map_err(bad)?;
        let (seq_len, n_groups) = (windows.seq_len(), labels.len());
        let index = |flat: usize| {
            let (window, position) = (flat / seq_len, flat % seq_len);
            if position < windows.scored_from() {
                return Ok(NONE);
            }
            match group(window, position) {
                Some(group) if group >= n_groups => Err(bad(format!(
                    "position {position} of window {window} has group {group}, and there are {n_groups}, counted from 0"
                ))),
                group => Ok(group.map_or(NONE, |group| group as u16)),
            }
        };
        let of = (0..windows.ids().len()).map(index).collect::<Result<_>>()?;
        Ok(Self { name: name.as_str().into(), labels: labels.into(), seq_len, of })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The labels of the groups, in their order.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The group of a position of a window; none where it belongs to none or does not exist.
    pub fn group(&self, window: usize, position: usize) -> Option<usize> {
        let index = window.checked_mul(self.seq_len)?.checked_add(position).filter(|_| position < self.seq_len)?;
        self.of.get(index).filter(|group| **group != NONE).map(|group| usize::from(*group))
    }

    /// How many positions each group has.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.labels.len()];
        self.of.iter().filter(|group| **group != NONE).for_each(|group| sizes[usize::from(*group)] += 1);
        sizes
    }

    /// The same groups without those that have no position.
    pub fn without_empty(&self) -> Self {
        let sizes = self.sizes();
        let kept = |group: usize| sizes[..group].iter().filter(|size| **size > 0).count() as u16;
        let of = self.of.iter().map(|&group| if group == NONE { NONE } else { kept(usize::from(group)) }).collect();
        let labels = self.labels.iter().zip(&sizes).filter(|(_, size)| **size > 0);
        Self { labels: labels.map(|(label, _)| label.clone()).collect(), of, ..self.clone() }
    }

    /// Refuses a corpus of another shape than the one it was made for.
    ///
    /// # Errors
    /// [`ProbeError::BadGroups`].
    pub fn check(&self, windows: &TokenWindows) -> Result<()> {
        if (self.of.len(), self.seq_len) == (windows.ids().len(), windows.seq_len()) {
            return Ok(());
        }
        let (own, n) = (self.of.len() / self.seq_len, windows.n_sequences());
        let reason = format!(
            "it is of {own} windows of {} tokens, and the corpus has {n} of {}; make it from the same windows",
            self.seq_len,
            windows.seq_len()
        );
        Err(ProbeError::BadGroups { grouping: self.name.to_string(), reason })
    }

    /// How many positions of a group a window has, the last one left out where `but_last`.
    pub(super) fn count(&self, window: usize, group: usize, but_last: bool) -> u64 {
        let row = &self.of[window * self.seq_len..][..self.seq_len - usize::from(but_last)];
        row.iter().filter(|own| usize::from(**own) == group).count() as u64
    }
}

fn check_labels(name: &str, labels: &[String]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    match labels.iter().find(|label| label.is_empty() || !seen.insert(label.as_str())) {
        _ if name.is_empty() => Err("its name is empty; results are named after it".to_owned()),
        _ if labels.is_empty() => Err("it has no groups".to_owned()),
        _ if labels.len() >= usize::from(NONE) => {
            Err(format!("it has {} groups, more than there can be", labels.len()))
        }
        Some(label) if label.is_empty() => Err("the label of a group is empty".to_owned()),
        Some(label) => Err(format!("two groups are called `{label}`")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn positions_have_their_group_or_none() {
        assert_eq!(groups().sizes(), [6, 4, 0]);
        assert_eq!((groups().group(2, 1), groups().group(0, 4), groups().group(3, 0)), (None, None, None));
        assert_eq!((groups().count(1, 1, false), groups().count(1, 1, true), groups().count(2, 1, false)), (2, 1, 0));
    }

    #[test]
    fn empty_groups_can_be_left_out() {
        let kept = groups().without_empty();
        assert_eq!((kept.labels(), kept.sizes()), (&["even".to_owned(), "odd".to_owned()][..], vec![6, 4]));
        assert_eq!(kept.group(1, 3), Some(1));
        let last = TokenGroups::new("last", ["a", "b"], &windows(), |_, _| Some(1)).unwrap().without_empty();
        assert_eq!((last.group(0, 0), last.labels().len()), (Some(0), 1));
    }

    #[test]
    fn groups_that_do_not_fit_are_named() {
        let of = |name: &str, labels: &[&str], group: usize| {
            TokenGroups::new(name, labels.iter().copied(), &windows(), |_, _| Some(group)).unwrap_err().to_string()
        };
        assert!(of("", &["a"], 0).contains("its name is empty"));
        assert!(of("mine", &[], 0).contains("by `mine`: it has no groups"));
        assert!(of("mine", &["a", "a"], 0).contains("two groups are called `a`"));
        assert!(of("mine", &["a", ""], 0).contains("label of a group is empty"));
        assert!(of("mine", &["a", "b"], 2).contains("position 0 of window 0 has group 2, and there are 2"));
        let short = TokenWindows::new(&[0, 1, 2, 3], 4).unwrap();
        let refused = groups().check(&short).unwrap_err().to_string();
        assert!(refused.contains("is of 3 windows of 4 tokens, and the corpus has 1 of 4"), "{refused}");
    }
}
