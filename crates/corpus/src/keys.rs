//! The order in which documents give windows to a sample: [`Keys`].

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

#[cfg(test)]
mod tests {
    use super::*;

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
