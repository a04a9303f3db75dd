//! Products of rows of numbers in f64: [`add_products`] and [`dot`].

use crate::for_best_cpu;

/// Numbers of a row that are processed side by side.
const LANES: usize = 8;

for_best_cpu! {
    /// Adds the inner product of each row of `a` with each row of `b` to `sums`, which has a row for each row of `a`. Rows of
    /// `a` and `b` have `width` numbers.
    ///
    /// # Panics
    /// When `sums` does not have a number for each pair of rows.
    pub fn add_products(sums: &mut [f64], a: &[f64], b: &[f64], width: usize) -> () {
        let columns = b.len() / width;
        assert_eq!(sums.len(), a.len() / width * columns, "a sum for each pair of rows");
        for (row, sums) in a.chunks_exact(width).zip(sums.chunks_exact_mut(columns.max(1))) {
            let (fours, rest) = sums.as_chunks_mut::<4>();
            let n_fours = fours.len();
            for (sums, four) in fours.iter_mut().zip(b.chunks_exact(4 * width)) {
                let [one, two] = [0, 2].map(|first| &four[first * width..(first + 2) * width]);
                let [[p, q], [r, s]] = [one, two].map(|pair| two_products(row, pair));
                sums.iter_mut().zip([p, q, r, s]).for_each(|(sum, product)| *sum += product);
            }
            let others = b.chunks_exact(width).skip(4 * n_fours);
            rest.iter_mut().zip(others).for_each(|(sum, other)| *sum += product(row, other));
        }
    }
}

for_best_cpu! {
    /// The inner product of two vectors of one length.
    ///
    /// # Panics
    /// When their lengths differ.
    pub fn dot(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len(), "two vectors of one length");
        product(a, b)
    }
}

/// The inner products of a row with two rows that lie one after the other.
#[inline(always)]
fn two_products(row: &[f64], pair: &[f64]) -> [f64; 2] {
    let (first, second) = pair.split_at(row.len());
    let mut sums = [[0.0; LANES]; 2];
    let (groups, rest) = row.as_chunks::<LANES>();
    let (firsts, first_rest) = first.as_chunks::<LANES>();
    let (seconds, second_rest) = second.as_chunks::<LANES>();
    for ((group, first), second) in groups.iter().zip(firsts).zip(seconds) {
        for lane in 0..LANES {
            sums[0][lane] += group[lane] * first[lane];
            sums[1][lane] += group[lane] * second[lane];
        }
    }
    let total = |sums: [f64; LANES], other: &[f64]| {
        sums.iter().sum::<f64>() + rest.iter().zip(other).map(|(a, b)| a * b).sum::<f64>()
    };
    [total(sums[0], first_rest), total(sums[1], second_rest)]
}

#[inline(always)]
fn product(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (a_groups, a_rest) = a.as_chunks::<LANES>();
    let (b_groups, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_groups.iter().zip(b_groups) {
        (0..LANES).for_each(|lane| sums[lane] += a[lane] * b[lane]);
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: f64) -> Vec<f64> {
        (0..n).map(|i| (i as f64 * seed).sin()).collect()
    }

    #[test]
    fn products_are_those_of_a_plain_loop() {
        for width in [1, 7, 8, 33] {
            for (rows, columns) in [(1, 1), (2, 4), (3, 9)] {
                let (a, b) = (numbers(rows * width, 0.7), numbers(columns * width, 1.3));
                let mut sums = vec![0.5; rows * columns];
                add_products(&mut sums, &a, &b, width);
                for (at, sum) in sums.iter().enumerate() {
                    let (row, other) = (&a[at / columns * width..][..width], &b[at % columns * width..][..width]);
                    let expected = 0.5 + row.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
                    assert!((sum - expected).abs() < 1e-13 * width as f64, "{sum} and {expected}");
                    assert!((dot(row, other) + 0.5 - expected).abs() < 1e-13 * width as f64);
                }
            }
        }
    }
}
