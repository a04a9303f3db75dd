//! One of several equal parts of a job: [`Shard`].

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::{Result, StudyError};

/// Part `I` of `N` equal parts, written `I/N` and counted from 0 as Slurm's array tasks and Kubernetes' completion
/// indices are.
///
/// ```
/// use stratigraph_study::job::Shard;
///
/// let shard: Shard = "1/3".parse()?;
/// assert_eq!(shard.part_of(10), 3..6);
/// # Ok::<(), stratigraph_study::StudyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// Every one of `count` shards.
    pub fn each(count: usize) -> impl Iterator<Item = Shard> {
        (0..count).map(move |index| Shard { index, count })
    }

    /// The one of `count` shards, at least one, that has `step` of `n` steps.
    pub(crate) fn with_step(step: usize, n: usize, count: usize) -> Shard {
        let index = ((step as u128 + 1) * count as u128 - 1) / n as u128;
        Shard { index: index as usize, count }
    }

    /// Its part of `n` steps. Parts are ranges of neighbours, and their sizes differ by one at most.
    pub fn part_of(self, n: usize) -> Range<usize> {
        let at = |index: usize| (n as u128 * index as u128 / self.count as u128) as usize;
        at(self.index)..at(self.index + 1)
    }
}

impl FromStr for Shard {
    type Err = StudyError;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parsed {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            _ => Err(StudyError::NotShard { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cut_everything_once_and_evenly() {
        for n in [0, 1, 7, 100] {
            for count in [1, 2, 3, 8, 150] {
                let parts: Vec<_> = Shard::each(count).map(|shard| shard.part_of(n)).collect();
                assert_eq!(parts.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
                for (index, part) in parts.iter().enumerate() {
                    assert!(part.clone().all(|step| Shard::with_step(step, n, count).index == index), "{n} in {count}");
                }
                let sizes = parts.iter().map(ExactSizeIterator::len);
                assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1, "{n} in {count}");
            }
        }
    }

    #[test]
    fn what_is_not_a_shard_is_refused() {
        for text in ["3/3", "0/0", "1", "a/b", "-1/3", "1/", "/2", ""] {
            assert!(matches!(text.parse::<Shard>(), Err(StudyError::NotShard { .. })), "{text}");
        }
        assert_eq!("0/1".parse::<Shard>().unwrap(), Shard::WHOLE);
        assert_eq!("2/7".parse::<Shard>().unwrap().to_string(), "2/7");
    }
}
