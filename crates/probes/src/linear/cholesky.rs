//! Systems of linear equations with a positive definite matrix, in f64: [`Cholesky`].

use rayon::prelude::*;
use stratigraph_kernels::dot;

/// The factor of a symmetric positive definite matrix: `L L^T`.
pub(super) struct Cholesky {
    /// `L`, row by row; what is right of the diagonal is not used.
    lower: Vec<f64>,
    /// `L^T`, row by row; what is left of the diagonal is not used.
    upper: Vec<f64>,
    n: usize,
}

impl Cholesky {
    /// Factors a symmetric matrix `[n, n]`, of which the part left of the diagonal is read, column by column; none where it is
    /// not positive definite.
    ///
    /// Golub and Van Loan, *Matrix Computations*, 4th edition, section 4.2.
    pub(super) fn new(mut matrix: Vec<f64>, n: usize) -> Option<Self> {
        let mut column = vec![0.0; n];
        for k in 0..n {
            let (done, left) = matrix.split_at_mut((k + 1) * n);
            let pivot = &mut done[k * n..];
            let (before, rest) = pivot.split_at_mut(k);
            let square = rest[0] - dot(before, before);
            if square.is_nan() || square <= n as f64 * f64::EPSILON * rest[0].abs() {
                return None;
            }
            let diagonal = square.sqrt();
            rest[0] = diagonal;
            left.par_chunks(n).zip(&mut column[k + 1..]).with_min_len(64).for_each(|(row, entry)| {
                *entry = (row[k] - dot(&row[..k], before)) / diagonal;
            });
            left.chunks_mut(n).zip(&column[k + 1..]).for_each(|(row, entry)| row[k] = *entry);
        }
        let upper = (0..n * n).map(|at| matrix[at % n * n + at / n]).collect();
        Some(Self { lower: matrix, upper, n })
    }

    /// Solves the system for each of some right sides, each `n` numbers, in place.
    pub(super) fn solve(&self, right_sides: &mut [f64]) {
        let n = self.n;
        right_sides.par_chunks_mut(n).for_each(|x| {
            for (i, row) in self.lower.chunks(n).enumerate() {
                x[i] = (x[i] - dot(&row[..i], &x[..i])) / row[i];
            }
            for (i, row) in self.upper.chunks(n).enumerate().rev() {
                x[i] = (x[i] - dot(&row[i + 1..], &x[i + 1..])) / row[i];
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_core::SplitMix64;

    use super::*;

    #[test]
    fn the_solution_solves_the_system() {
        let mut random = SplitMix64::new(1);
        for n in [1, 2, 9, 130] {
            let factor: Vec<f64> = (0..n * n).map(|_| random.normal()).collect();
            let entry = |at: usize| {
                let (i, j) = (at / n, at % n);
                dot(&factor[i * n..][..n], &factor[j * n..][..n]) + if i == j { 0.1 } else { 0.0 }
            };
            let matrix: Vec<f64> = (0..n * n).map(entry).collect();
            let right: Vec<f64> = (0..3 * n).map(|_| random.normal()).collect();
            let mut solved = right.clone();
            Cholesky::new(matrix.clone(), n).unwrap().solve(&mut solved);
            for (x, b) in solved.chunks(n).zip(right.chunks(n)) {
                for (row, b) in matrix.chunks(n).zip(b) {
                    assert!((dot(row, x) - b).abs() < 1e-9 * n as f64, "{n}: {} and {b}", dot(row, x));
                }
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        assert!(Cholesky::new(vec![1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(Cholesky::new(vec![1.0; 4], 2).is_none());
        assert!(Cholesky::new(vec![0.0], 1).is_none());
        assert!(Cholesky::new(vec![f64::NAN], 1).is_none());
    }
}
