//! Eigenvalues and eigenvectors of a symmetric matrix, in f64: [`symmetric_eigen`], [`symmetric_eigenvalues`].

use rayon::prelude::*;

/// Sweeps of the QL iteration that one eigenvalue may take; two or three are usual.
const MOST_SWEEPS: usize = 50;

/// The eigenvalues of a symmetric `matrix` of `n` rows, the smallest first, and an orthonormal eigenvector of each, `[n][n]`.
///
/// Householder reflections to a tridiagonal matrix, then the implicit QL iteration with Wilkinson's shift (Golub and Van
/// Loan, *Matrix Computations*, 4th edition, algorithms 8.3.1 and 8.3.3).
///
/// # Panics
/// When the matrix does not have `n` rows of `n` numbers, or one is not finite.
pub(crate) fn symmetric_eigen(mut matrix: Vec<f64>, n: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    assert_eq!(matrix.len(), n * n, "a square matrix");
    assert!(matrix.iter().all(|entry| entry.is_finite()), "a matrix of finite numbers");
    let (reflections, mut beside) = tridiagonalise(&mut matrix, n);
    let mut diagonal: Vec<f64> = (0..n).map(|i| matrix[i * n + i]).collect();
    let mut vectors = product(&reflections, n);
    ql(&mut diagonal, &mut beside, &mut vectors);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| diagonal[*a].total_cmp(&diagonal[*b]));
    let vectors = order.iter().map(|&i| std::mem::take(&mut vectors[i])).collect();
    (order.iter().map(|&i| diagonal[i]).collect(), vectors)
}

/// The eigenvalues of a symmetric `matrix` of `n` rows alone, in any order, by the same method.
///
/// # Panics
/// As [`symmetric_eigen`].
pub(crate) fn symmetric_eigenvalues(mut matrix: Vec<f64>, n: usize) -> Vec<f64> {
    assert_eq!(matrix.len(), n * n, "a square matrix");
    assert!(matrix.iter().all(|entry| entry.is_finite()), "a matrix of finite numbers");
    let (_, mut beside) = tridiagonalise(&mut matrix, n);
    let mut diagonal: Vec<f64> = (0..n).map(|i| matrix[i * n + i]).collect();
    ql(&mut diagonal, &mut beside, &mut vec![Vec::new(); n]); // vectors without a number
    diagonal
}

/// Makes the matrix tridiagonal; returns the unit vectors of the reflections, the first for the rows from 1 on, and the
/// subdiagonal.
fn tridiagonalise(matrix: &mut [f64], n: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
    let (mut reflections, mut beside) = (Vec::new(), Vec::new());
    for k in 1..n {
        let column: Vec<f64> = (k..n).map(|i| matrix[i * n + k - 1]).collect();
        let length = dot(&column, &column).sqrt();
        let end = if column[0] > 0.0 { -length } else { length };
        let mut v = column;
        v[0] -= end;
        let norm = dot(&v, &v).sqrt();
        if norm > 0.0 {
            v.iter_mut().for_each(|x| *x /= norm);
        }
        beside.push(end);
        // A -> (1 - 2 v v') A (1 - 2 v v') on what is left of it, as one update of rank two.
        let left = &mut matrix[k * n..];
        let mut w: Vec<f64> = left.par_chunks(n).map(|row| 2.0 * dot(&row[k..], &v)).collect();
        let along = dot(&w, &v);
        w.iter_mut().zip(&v).for_each(|(w, v)| *w -= along * v);
        left.par_chunks_mut(n).zip(v.par_iter().zip(&w)).for_each(|(row, (v_i, w_i))| {
            row[k..].iter_mut().zip(v.iter().zip(&w)).for_each(|(entry, (v_j, w_j))| *entry -= v_i * w_j + w_i * v_j);
        });
        reflections.push(v);
    }
    (reflections, beside)
}

/// The product of all reflections, by columns.
fn product(reflections: &[Vec<f64>], n: usize) -> Vec<Vec<f64>> {
    let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect::<Vec<_>>();
    let mut columns: Vec<Vec<f64>> = (0..n).map(unit).collect();
    columns.par_iter_mut().for_each(|column| {
        for v in reflections.iter().rev() {
            let part = &mut column[n - v.len()..];
            let along = 2.0 * dot(part, v);
            part.iter_mut().zip(v).for_each(|(x, v)| *x -= along * v);
        }
    });
    columns
}

/// Makes the tridiagonal matrix diagonal, and applies the same rotations to the columns of `vectors`.
fn ql(diagonal: &mut [f64], beside: &mut Vec<f64>, vectors: &mut [Vec<f64>]) {
    let n = diagonal.len();
    beside.push(0.0);
    for first in 0..n {
        for _ in 0..MOST_SWEEPS {
            let small = |i: &usize| beside[*i].abs() <= f64::EPSILON * (diagonal[*i].abs() + diagonal[*i + 1].abs());
            let last = (first..n - 1).find(small).unwrap_or(n - 1);
            if last == first {
                break;
            }
            sweep(diagonal, beside, vectors, (first, last));
        }
    }
}

/// One QL step with an implicit shift on the block from `first` to `last`.
fn sweep(diagonal: &mut [f64], beside: &mut [f64], vectors: &mut [Vec<f64>], (first, last): (usize, usize)) {
    let half = (diagonal[first + 1] - diagonal[first]) / (2.0 * beside[first]);
    let shift = diagonal[first] - beside[first] / (half + half.hypot(1.0).copysign(half));
    let (mut sine, mut cosine, mut carried) = (1.0, 1.0, 0.0);
    let mut bulge = diagonal[last] - shift;
    for i in (first..last).rev() {
        let (f, b) = (sine * beside[i], cosine * beside[i]);
        let length = f.hypot(bulge);
        beside[i + 1] = length;
        if length == 0.0 {
            diagonal[i + 1] -= carried;
            beside[last] = 0.0;
            return;
        }
        (sine, cosine) = (f / length, bulge / length);
        let lowered = diagonal[i + 1] - carried;
        let mixed = (diagonal[i] - lowered) * sine + 2.0 * cosine * b;
        carried = sine * mixed;
        diagonal[i + 1] = lowered + carried;
        bulge = cosine * mixed - b;
        let (upper, lower) = vectors.split_at_mut(i + 1);
        for (a, b) in upper[i].iter_mut().zip(&mut lower[0]) {
            (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
        }
    }
    diagonal[first] -= carried;
    beside[first] = bulge;
    beside[last] = 0.0;
}

/// In four sums, which a compiler may hold in one register.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, b_rest) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (a, b) in a4.iter().zip(b4) {
        (0..4).for_each(|i| sums[i] += a[i] * b[i]);
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use stratigraph_core::SplitMix64;

    use super::*;

    fn check(matrix: &[f64], n: usize) -> Vec<f64> {
        let (values, vectors) = symmetric_eigen(matrix.to_vec(), n);
        let size = matrix.iter().fold(1.0f64, |max, x| max.max(x.abs()));
        for (value, vector) in values.iter().zip(&vectors) {
            for (row, x) in matrix.chunks(n).zip(vector) {
                assert!((dot(row, vector) - value * x).abs() < 1e-12 * size * n as f64, "{value}");
            }
        }
        for (i, a) in vectors.iter().enumerate() {
            for (j, b) in vectors.iter().enumerate() {
                assert!((dot(a, b) - f64::from(u8::from(i == j))).abs() < 1e-12 * n as f64, "{i} {j}");
            }
        }
        assert!(values.is_sorted());
        let mut alone = symmetric_eigenvalues(matrix.to_vec(), n);
        alone.sort_by(f64::total_cmp);
        assert_eq!(alone, values);
        values
    }

    #[test]
    fn vectors_are_orthonormal_and_only_stretched() {
        let mut random = SplitMix64::new(1);
        for n in [1, 2, 3, 17, 60] {
            let factors: Vec<f64> = (0..n * n).map(|_| random.normal()).collect();
            let entry = |i: usize, j: usize| dot(&factors[i * n..(i + 1) * n], &factors[j * n..(j + 1) * n]);
            let matrix: Vec<f64> = (0..n * n).map(|at| entry(at / n, at % n)).collect();
            let values = check(&matrix, n);
            let trace: f64 = (0..n).map(|i| matrix[i * n + i]).sum();
            assert!((values.iter().sum::<f64>() - trace).abs() < 1e-10 * trace);
        }
    }

    #[test]
    fn matrices_with_known_values_and_with_equal_ones() {
        // The second difference: 2 - 2 cos(pi k / (n + 1)).
        let n = 8;
        let entry = |i: usize, j: usize| [2.0, -1.0, 0.0][i.abs_diff(j).min(2)];
        let matrix: Vec<f64> = (0..n * n).map(|at| entry(at / n, at % n)).collect();
        for (k, value) in check(&matrix, n).iter().enumerate() {
            let expected = 2.0 - 2.0 * (std::f64::consts::PI * (k + 1) as f64 / (n + 1) as f64).cos();
            assert!((value - expected).abs() < 1e-12);
        }
        assert_eq!(check(&[3.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, -1.0], 3), [-1.0, 3.0, 3.0]);
        check(&[1.0; 25], 5);
        check(&[0.0; 16], 4);
    }
}
