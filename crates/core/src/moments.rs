//! Means that merge: [`Moments`] of numbers, [`PerSequence`] of windows, and the [`Summary`] of both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Count, mean and sum of squared deviations of a stream of numbers.
///
/// Chan, Golub and LeVeque, *Updating formulae and a pairwise algorithm for computing sample variances* (1979).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    /// How many numbers.
    pub count: u64,
    /// Their mean; 0 when there are none.
    pub mean: f64,
    /// The sum of squared deviations from the mean.
    pub m2: f64,
}

impl Moments {
    /// Adds one number.
    pub fn push(&mut self, value: f64) {
        self.merge(&Moments { count: 1, mean: value, m2: 0.0 });
    }

    /// Adds the numbers of another stream.
    pub fn merge(&mut self, other: &Moments) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other; // exact, which the formula below is not
            return;
        }
        let count = self.count + other.count;
        let (a, b) = (self.count as f64, other.count as f64);
        let delta = other.mean - self.mean;
        self.mean += delta * b / count as f64;
        self.m2 += other.m2 + delta * delta * a * b / count as f64;
        self.count = count;
    }

    /// The standard error of the mean, from the sample variance; none for fewer than two numbers.
    pub fn sem(&self) -> Option<f64> {
        let n = self.count as f64;
        (self.count > 1).then(|| (self.m2 / (n - 1.0) / n).sqrt())
    }
}

impl FromIterator<f64> for Moments {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut moments = Moments::default();
        values.into_iter().for_each(|value| moments.push(value));
        moments
    }
}

/// A mean and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Over all positions of all windows; NaN where there are none.
    pub mean: f64,
    /// The standard error over windows; none for a single one.
    pub sem: Option<f64>,
}

/// How many numbers a window of the corpus has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceCount {
    /// The index of the window.
    pub sequence: usize,
    /// How many numbers.
    pub count: u64,
}

/// The moments of each window of a corpus, by the window's index.
///
/// Windows are kept apart because a bootstrap draws windows, and because parts of a corpus that are measured separately
/// then merge into exactly the result of the whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PerSequence {
    sequences: BTreeMap<usize, Moments>,
}

impl PerSequence {
    /// Adds a number of a window.
    pub fn push(&mut self, sequence: usize, value: f64) {
        self.sequences.entry(sequence).or_default().push(value);
    }

    /// Adds the numbers of another part of the corpus, or of other positions.
    pub fn merge(&mut self, other: &PerSequence) {
        for (&sequence, moments) in &other.sequences {
            self.sequences.entry(sequence).or_default().merge(moments);
        }
    }

    /// How many numbers each measured window has, in the order of the corpus.
    pub fn counts(&self) -> impl Iterator<Item = SequenceCount> {
        self.sequences.iter().map(|(&sequence, moments)| SequenceCount { sequence, count: moments.count })
    }

    /// The mean of each window, in the order of the corpus.
    pub fn means(&self) -> Vec<f64> {
        self.sequences.values().map(|moments| moments.mean).collect()
    }

    /// The mean over positions and windows, and its standard error over windows as if they were independent. A study's findings
    /// have errors over documents, or corrected for autocorrelation.
    pub fn summary(&self) -> Summary {
        let mut all = Moments::default();
        self.sequences.values().for_each(|moments| all.merge(moments));
        let mean = if all.count > 0 { all.mean } else { f64::NAN };
        Summary { mean, sem: self.means().into_iter().collect::<Moments>().sem() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(n: usize) -> Vec<f64> {
        (0..n).map(|i| (i as f64 * 1.7).sin() * 3.0 + 100.0).collect()
    }

    #[test]
    fn moments_are_the_textbook_ones() {
        let values = values(50);
        let moments: Moments = values.iter().copied().collect();
        let mean = values.iter().sum::<f64>() / 50.0;
        let m2: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        assert!((moments.mean - mean).abs() < 1e-12);
        assert!((moments.m2 - m2).abs() < 1e-10);
        assert!((moments.sem().unwrap() - (m2 / 49.0 / 50.0).sqrt()).abs() < 1e-12);
        assert_eq!(Moments::from_iter([2.0]).sem(), None);
    }

    #[test]
    fn merging_halves_equals_the_whole_wherever_they_are_cut() {
        let values = values(20);
        let whole: Moments = values.iter().copied().collect();
        for cut in 0..=20 {
            let mut left: Moments = values[..cut].iter().copied().collect();
            left.merge(&values[cut..].iter().copied().collect());
            assert_eq!(left.count, whole.count);
            assert!((left.mean - whole.mean).abs() < 1e-12);
            assert!((left.m2 - whole.m2).abs() < 1e-9);
        }
    }

    #[test]
    fn nothing_has_no_mean() {
        let Summary { mean, sem } = PerSequence::default().summary();
        assert!(mean.is_nan() && sem.is_none());
    }

    #[test]
    fn a_sharded_corpus_gives_the_same_bits() {
        let shard = |sequences: std::ops::Range<usize>| {
            let mut part = PerSequence::default();
            for sequence in sequences {
                values(5 + sequence).into_iter().for_each(|value| part.push(sequence, value * sequence as f64));
            }
            part
        };
        let whole = shard(0..6);
        for cut in 0..=6 {
            for (first, second) in [(0..cut, cut..6), (cut..6, 0..cut)] {
                let mut merged = shard(first);
                merged.merge(&shard(second));
                assert_eq!(merged, whole);
                assert_eq!(merged.summary(), whole.summary());
            }
        }
    }
}
