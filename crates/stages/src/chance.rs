//! How well random orders of the layers do, compared with the true order: [`Chance`].

use crate::random::Random;

/// How many random orders of the layers score as high as the true order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance {
    as_good: usize,
    orders: usize,
}

impl Chance {
    /// Scores `layers` in the order they have, and then in as many random `orders`.
    pub(crate) fn of<T>(mut layers: Vec<T>, (orders, seed): (usize, u64), score: impl Fn(&[T]) -> f64) -> Self {
        let found = score(&layers);
        let mut random = Random::new(seed);
        let as_good = (0..orders).filter(|_| {
            random.shuffle(&mut layers);
            score(&layers) >= found - 1e-9
        });
        Self { as_good: as_good.count(), orders }
    }

    /// Whether more random orders than those of `other`, out of equally many, score as high.
    pub(crate) fn is_worse_than(self, other: Self) -> bool {
        self.as_good > other.as_good
    }

    /// The fraction with the true order counted among the orders, so that it is never 0.
    pub(crate) fn p_value(self) -> f64 {
        (self.as_good + 1) as f64 / (self.orders + 1) as f64
    }

    /// It in words.
    pub(crate) fn in_words(self) -> String {
        let (Self { as_good, orders }, p) = (self, self.p_value());
        format!("{as_good} of {orders} random orders of the layers fit stages as well as the true order (p = {p:.3})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_true_order_is_one_of_the_orders() {
        let rises = |values: &[f64]| values.windows(2).filter(|pair| pair[1] > pair[0]).count() as f64;
        let sorted: Vec<f64> = (0..8).map(f64::from).collect();
        let rare = Chance::of(sorted.clone(), (999, 1), rises);
        // One order of 40320 rises everywhere.
        assert_eq!(rare.p_value(), 0.001);
        let level = Chance::of(sorted, (99, 1), |_| 1.0);
        assert_eq!(level.p_value(), 1.0);
        assert!(level.is_worse_than(Chance { as_good: 98, orders: 99 }));
    }
}
