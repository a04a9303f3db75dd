//! Which of many heads attend significantly within words: [`merging_threshold`].

use stratigraph_core::SplitMix64;

use super::MergingHead;

/// Bootstrap resamples for the threshold.
const RESAMPLES: usize = 1000;

/// The number of standard errors that, in 95 % of repetitions, the [difference](MergingHead::difference) of no head exceeds if
/// none differs: the quantile of the largest of all heads' `t` statistics over bootstrap resamples of the windows, drawn by
/// `seed`, each centred at the difference found (Westfall and Young, *Resampling-Based Multiple Testing*, 1993). A head beyond it
/// attends within words with an error of 5 % for all heads together. None where no head has a standard error.
pub fn merging_threshold(heads: &[Vec<MergingHead>], seed: u64) -> Option<f64> {
    let tested: Vec<Tested> = heads.iter().flatten().filter_map(Tested::new).collect();
    let first = tested.first()?;
    let (n, m) = (first.in_words.len(), first.elsewhere.len());
    let mut random = SplitMix64::new(seed);
    let mut draw = |n: usize| -> Vec<usize> { (0..n).map(|_| random.below(n)).collect() };
    let mut largest: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let (in_words, elsewhere) = (draw(n), draw(m));
            tested.iter().map(|head| head.statistic(&in_words, &elsewhere)).fold(f64::NEG_INFINITY, f64::max)
        })
        .collect();
    largest.sort_by(f64::total_cmp);
    Some(largest[RESAMPLES * 95 / 100 - 1])
}

/// A head with an error, which can be tested.
struct Tested<'a> {
    in_words: &'a [f64],
    elsewhere: &'a [f64],
    difference: f64,
}

impl<'a> Tested<'a> {
    fn new(head: &'a MergingHead) -> Option<Self> {
        let difference = head.difference();
        let (in_words, elsewhere) = (&head.each_in_words[..], &head.each_elsewhere[..]);
        let is_tested = difference.sem.is_some_and(|sem| sem > 0.0) && in_words.len() > 1 && elsewhere.len() > 1;
        is_tested.then_some(Self { in_words, elsewhere, difference: difference.mean })
    }

    /// How many of its own standard errors the difference of a resample is above that found.
    fn statistic(&self, in_words: &[usize], elsewhere: &[usize]) -> f64 {
        let (a, b) = (moments(self.in_words, in_words), moments(self.elsewhere, elsewhere));
        let sem = (a.squared_sem + b.squared_sem).sqrt();
        if sem > 0.0 { (a.mean - b.mean - self.difference) / sem } else { 0.0 }
    }
}

/// The mean of a resample and the square of its standard error.
struct Resampled {
    mean: f64,
    squared_sem: f64,
}

fn moments(values: &[f64], chosen: &[usize]) -> Resampled {
    let n = chosen.len() as f64;
    let mean = chosen.iter().map(|&index| values[index]).sum::<f64>() / n;
    let squares: f64 = chosen.iter().map(|&index| (values[index] - mean).powi(2)).sum();
    Resampled { mean, squared_sem: squares / (n - 1.0) / n }
}

#[cfg(test)]
mod tests {
    use stratigraph_core::{Moments, Summary};

    use super::*;

    /// A head whose windows are normal around these means.
    fn head(random: &mut SplitMix64, in_words: f64, elsewhere: f64) -> MergingHead {
        let mut draw = |mean: f64| -> Vec<f64> { (0..60).map(|_| mean + random.normal()).collect() };
        let (each_in_words, each_elsewhere) = (draw(in_words), draw(elsewhere));
        let summary = |values: &[f64]| {
            let moments: Moments = values.iter().copied().collect();
            Summary { mean: moments.mean, sem: moments.sem() }
        };
        MergingHead {
            layer: 0,
            head: 0,
            in_words: summary(&each_in_words),
            elsewhere: summary(&each_elsewhere),
            each_in_words,
            each_elsewhere,
            row_in_words: Vec::new(),
            row_elsewhere: Vec::new(),
        }
    }

    #[test]
    fn the_largest_of_many_heads_without_a_difference_stays_below() {
        let (repetitions, mut beyond) = (100, 0);
        for seed in 0..repetitions {
            let mut random = SplitMix64::new(seed);
            let heads: Vec<MergingHead> = (0..40).map(|_| head(&mut random, 0.0, 0.0)).collect();
            let largest = heads.iter().map(|head| head.difference().mean / head.difference().sem.unwrap());
            let largest = largest.fold(f64::NEG_INFINITY, f64::max);
            let threshold = merging_threshold(&[heads], seed).unwrap();
            assert!(threshold > 2.0, "one head alone would have 1.65: {threshold}");
            beyond += usize::from(largest > threshold);
        }
        assert!(beyond <= 12, "{beyond} of {repetitions} at a level of 5 %");
    }

    #[test]
    fn a_head_that_differs_is_beyond() {
        let mut random = SplitMix64::new(1);
        let mut heads: Vec<MergingHead> = (0..20).map(|_| head(&mut random, 0.0, 0.0)).collect();
        heads.push(head(&mut random, 1.5, 0.0));
        let found = heads[20].difference();
        assert!(found.mean / found.sem.unwrap() > merging_threshold(&[heads], 3).unwrap());
        assert_eq!(merging_threshold(&[], 0), None);
    }
}
