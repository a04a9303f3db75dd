//! The order in which documents give windows to a sample, [`Keys`], and which windows, [`Places`].

use std::collections::BTreeMap;

use stratigraph_core::SplitMix64;

use crate::SampleOver;

/// The keys of a document's tickets, which increase.
pub(crate) struct Keys {
    over: SampleOver,
    /// The tickets left.
    left: usize,
    nth: usize,
    last: f64,
}

impl Keys {
    pub(crate) fn new(over: SampleOver, n_tickets: usize) -> Self {
        Self { over, left: n_tickets, nth: 0, last: 0.0 }
    }

    pub(crate) fn next(&mut self, random: &mut SplitMix64) -> f64 {
        let uniform = random.uniform();
        self.nth += 1;
        match self.over {
            SampleOver::Documents => (self.nth - 1) as f64 + uniform,
            SampleOver::Tokens => {
                // The smallest of `left` uniform numbers between the last key and 1.
                self.last = 1.0 - (1.0 - self.last) * uniform.powf(1.0 / self.left.max(1) as f64);
                self.left = self.left.saturating_sub(1);
                self.last
            }
        }
    }
}

/// The places of a document's tickets, each once: one after the other over documents, and in a random order over tokens.
pub(crate) struct Places {
    over: SampleOver,
    random: SplitMix64,
    n: usize,
    nth: usize,
    /// The content of places that were exchanged in a shuffle, of which only the beginning is done.
    exchanged: BTreeMap<usize, usize>,
}

impl Places {
    pub(crate) fn new(over: SampleOver, n: usize, random: SplitMix64) -> Self {
        Self { over, random, n, nth: 0, exchanged: BTreeMap::new() }
    }
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.nth == self.n {
            return None;
        }
        let nth = self.nth;
        self.nth += 1;
        match self.over {
            SampleOver::Documents => Some(nth),
            SampleOver::Tokens => {
                let other = nth + self.random.below(self.n - nth);
                let own = self.exchanged.remove(&nth).unwrap_or(nth);
                if other == nth { Some(own) } else { Some(self.exchanged.insert(other, own).unwrap_or(other)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_once_each_and_in_any_order() {
        let order = |seed| Places::new(SampleOver::Tokens, 6, SplitMix64::new(seed)).collect::<Vec<_>>();
        let mut sums = [0; 6];
        for seed in 0..6000 {
            let mut places = order(seed);
            sums.iter_mut().zip(&places).for_each(|(sum, place)| *sum += place);
            places.sort();
            assert_eq!(places, [0, 1, 2, 3, 4, 5]);
        }
        assert!(sums.iter().all(|sum| (f64::from(*sum as u32) / 6000.0 - 2.5).abs() < 0.1), "{sums:?}");
        let many = Places::new(SampleOver::Tokens, usize::MAX, SplitMix64::new(1)).take(100); // no list of all is made
        assert_eq!(many.collect::<std::collections::BTreeSet<_>>().len(), 100);
        assert!(Places::new(SampleOver::Documents, 4, SplitMix64::new(1)).eq(0..4));
    }

    #[test]
    fn keys_increase_and_are_uniform_over_tokens() {
        let mut random = SplitMix64::new(4);
        let (n, repetitions) = (5, 4000);
        let mut sums = vec![0.0; n];
        for _ in 0..repetitions {
            let mut keys = Keys::new(SampleOver::Tokens, n);
            let mut last = 0.0;
            for sum in &mut sums {
                let key = keys.next(&mut random);
                assert!(key >= last && key <= 1.0);
                *sum += key / f64::from(repetitions);
                last = key;
            }
        }
        // The mean of the k-th smallest of n uniform numbers is k / (n + 1).
        let expected = (1..=n).map(|k| k as f64 / (n + 1) as f64);
        assert!(sums.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.02), "{sums:?}");
    }

    #[test]
    fn no_document_gives_a_second_window_before_all_have_given_one() {
        let mut random = SplitMix64::new(9);
        let mut keys = Keys::new(SampleOver::Documents, 3);
        let drawn: Vec<f64> = (0..3).map(|_| keys.next(&mut random)).collect();
        assert!(drawn.iter().enumerate().all(|(nth, key)| (nth as f64..=nth as f64 + 1.0).contains(key)), "{drawn:?}");
    }
}
