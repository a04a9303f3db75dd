//! Pairs of queries and keys that edits of a job hide: [`JobPairs`] in its plan, and the pairs in `pairs.bin`.

use serde::{Deserialize, Serialize};
use stratigraph_core::{AttentionPair, PairMask};

use super::hash::hash_bytes;

/// Pairs of queries and keys of each window, by the id that the texts of edits name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JobPairs {
    /// Their id.
    pub id: String,
    /// How many there are.
    pub n_pairs: usize,
    /// The SHA-256 of their part of `pairs.bin`.
    pub sha256: String,
}

impl JobPairs {
    pub(super) fn new(pairs: &PairMask, n_windows: usize) -> Self {
        let sha256 = hash_bytes(&pair_bytes(pairs, n_windows));
        let n_pairs = (0..n_windows).map(|window| pairs.of_window(window).len()).sum();
        Self { id: pairs.id().to_owned(), n_pairs, sha256 }
    }

    /// Bytes of their part of the file; none where that is more than there can be.
    fn n_bytes(&self, n_windows: usize) -> Option<usize> {
        self.n_pairs.checked_mul(2)?.checked_add(n_windows)?.checked_mul(size_of::<u32>())
    }
}

/// Window by window, how many pairs there are, and query and key of each: four bytes each, the lowest first.
pub(super) fn pair_bytes(pairs: &PairMask, n_windows: usize) -> Vec<u8> {
    let of_window = |window: usize| {
        let pairs = pairs.of_window(window);
        std::iter::once(pairs.len()).chain(pairs.iter().flat_map(|pair| [pair.query, pair.key]))
    };
    (0..n_windows).flat_map(of_window).flat_map(|number| (number as u32).to_le_bytes()).collect()
}

/// The pairs of a plan, which follow one another in `bytes`. An error says what is wrong with them.
pub(super) fn read_pairs(planned: &[JobPairs], mut bytes: &[u8], n_windows: usize) -> Result<Vec<PairMask>, String> {
    let mut all = Vec::new();
    for pairs in planned {
        let part = pairs.n_bytes(n_windows).and_then(|n| bytes.split_at_checked(n));
        let (part, rest) = part.ok_or_else(|| format!("it ends before the pairs `{}` do", pairs.id))?;
        if hash_bytes(part) != pairs.sha256 {
            return Err(format!("its pairs `{}` are not those of the plan", pairs.id));
        }
        let windows = windows(part, n_windows).ok_or_else(|| format!("its pairs `{}` are not pairs", pairs.id))?;
        all.push(PairMask::new(&pairs.id, windows));
        bytes = rest;
    }
    if bytes.is_empty() { Ok(all) } else { Err(format!("it has {} bytes more than its plan's pairs", bytes.len())) }
}

/// The pairs of each window.
fn windows(bytes: &[u8], n_windows: usize) -> Option<Vec<Vec<AttentionPair>>> {
    let mut numbers = bytes.as_chunks().0.iter().map(|number| u32::from_le_bytes(*number) as usize);
    let mut windows = Vec::new();
    for _ in 0..n_windows {
        let n = numbers.next()?;
        let pairs = (0..n).map(|_| Some(AttentionPair::new(numbers.next()?, numbers.next()?)));
        windows.push(pairs.collect::<Option<Vec<_>>>()?);
    }
    Some(windows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks() -> [PairMask; 2] {
        let pair = AttentionPair::new;
        [
            PairMask::new("within words, seed 0", vec![vec![pair(3, 2), pair(5, 1)], vec![], vec![pair(1, 0)]]),
            PairMask::new("other", vec![vec![], vec![pair(7, 4)]]), // the last window has no list
        ]
    }

    #[test]
    fn pairs_are_read_back_window_by_window() {
        let planned: Vec<_> = masks().iter().map(|pairs| JobPairs::new(pairs, 3)).collect();
        let bytes = masks().iter().flat_map(|pairs| pair_bytes(pairs, 3)).collect::<Vec<_>>();
        let read = read_pairs(&planned, &bytes, 3).unwrap();
        for (found, expected) in read.iter().zip(masks()) {
            assert_eq!((found, found.n_pairs()), (&expected, expected.n_pairs()));
            (0..3).for_each(|window| assert_eq!(found.of_window(window), expected.of_window(window)));
        }
        let mut other = bytes.clone();
        other[5] ^= 1;
        for (damaged, part) in [
            (&bytes[..bytes.len() - 1], "it ends before the pairs `other` do"),
            (&[&bytes[..], &[0]].concat(), "it has 1 bytes more"),
            (&other, "its pairs `within words, seed 0` are not those of the plan"),
        ] {
            assert!(read_pairs(&planned, damaged, 3).unwrap_err().contains(part), "{part}");
        }
        let huge = JobPairs { n_pairs: usize::MAX, ..planned[0].clone() };
        assert!(read_pairs(&[huge], &bytes, 3).unwrap_err().contains("it ends before"));
    }
}
