//! Whether two sets of vectors have the same shape: linear centred kernel alignment, [`cka`], [`cka_adjacent`] and
//! [`cka_unbiased`]; of the states of each window, [`WindowSimilarity`].

mod by_window;

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::neurons::dot;
use crate::{ProbeError, Result};

pub use by_window::WindowSimilarity;

/// Linear CKA of every set with every other, `[row, width]` each with the same rows, by the biased estimator:
/// `<K, L> / (|K| |L|)` of the Gram matrices `K` and `L` of the sets, each centred over its rows (Kornblith et al., arXiv
/// 1905.00414, eq. 3). 1 when one set is the other rotated and scaled; the same for any widths.
///
/// A set whose rows are all equal has no shape: its numbers are NaN.
///
/// # Errors
/// [`ProbeError::BadSetting`] when the sets have different numbers of rows; [`ProbeError::SetNotFinite`].
pub fn cka(sets: &[Tensor<2>]) -> Result<Vec<Vec<f64>>> {
    check_rows(sets, 1)?;
    let grams = grams(sets)?;
    Ok(pairs(&grams, dot))
}

/// As [`cka`], of every set with the next one alone.
///
/// # Errors
/// As [`cka`].
pub fn cka_adjacent(sets: &[Tensor<2>]) -> Result<Vec<f64>> {
    check_rows(sets, 1)?;
    let mut before: Option<Vec<f64>> = None;
    let mut adjacent = Vec::new();
    for (set, rows) in sets.iter().enumerate() {
        let gram = finite_gram(set, rows)?;
        adjacent.extend(before.map(|k| dot(&k, &gram) / (dot(&k, &k) * dot(&gram, &gram)).sqrt()));
        before = Some(gram);
    }
    Ok(adjacent)
}

/// As [`cka`], by the unbiased estimator HSIC_1 (Song et al., JMLR 13, 2012, eq. 5), whose mean for unrelated sets is 0
/// however few rows there are; for few rows the biased one is near 1.
///
/// # Errors
/// [`ProbeError::BadSetting`] when there are fewer than four rows, or the sets have different numbers of rows;
/// [`ProbeError::SetNotFinite`].
pub fn cka_unbiased(sets: &[Tensor<2>]) -> Result<Vec<Vec<f64>>> {
    let rows = check_rows(sets, 4)?;
    let mut grams = grams(sets)?;
    for gram in &mut grams {
        (0..rows).for_each(|i| gram[i * rows + i] = 0.0);
    }
    Ok(pairs(&grams, |k, l| hsic_1(k, l, rows)))
}

/// The number of rows of all sets.
fn check_rows(sets: &[Tensor<2>], least: usize) -> Result<usize> {
    let rows = sets.first().map_or(least, |set| set.dims()[0]);
    let bad = |value, reason| Err(ProbeError::BadSetting { setting: "the number of rows of a set", value, reason });
    if rows < least {
        return bad(rows, format!("this estimator needs at least {least}"));
    }
    match sets.iter().map(|set| set.dims()[0]).find(|other| *other != rows) {
        Some(other) => bad(other, format!("another set has {rows}, and sets are compared row by row")),
        None => Ok(rows),
    }
}

/// `h(k, l) / sqrt(h(k, k) h(l, l))` of every pair, of which `h` is the same in both orders.
fn pairs(grams: &[Vec<f64>], h: impl Fn(&[f64], &[f64]) -> f64 + Sync) -> Vec<Vec<f64>> {
    let n = grams.len();
    let with_itself: Vec<f64> = grams.par_iter().map(|k| h(k, k)).collect();
    let pair = |i: usize, j: usize| h(&grams[i], &grams[j]) / (with_itself[i] * with_itself[j]).sqrt();
    let from_itself_on: Vec<Vec<f64>> = (0..n).into_par_iter().map(|i| (i..n).map(|j| pair(i, j)).collect()).collect();
    (0..n).map(|i| (0..n).map(|j| from_itself_on[i.min(j)][i.abs_diff(j)]).collect()).collect()
}

/// `n (n - 3)` times HSIC_1 of two Gram matrices with zeros on their diagonals.
fn hsic_1(k: &[f64], l: &[f64], n: usize) -> f64 {
    let row_sums = |m: &[f64]| -> Vec<f64> { m.chunks(n).map(|row| row.iter().sum()).collect() };
    let (k_rows, l_rows) = (row_sums(k), row_sums(l));
    let trace: f64 = k.iter().zip(l).map(|(k, l)| k * l).sum();
    let sums = k_rows.iter().sum::<f64>() * l_rows.iter().sum::<f64>();
    let across: f64 = k_rows.iter().zip(&l_rows).map(|(k, l)| k * l).sum();
    let n = n as f64;
    trace + sums / ((n - 1.0) * (n - 2.0)) - 2.0 / (n - 2.0) * across
}

/// The rows minus their mean, which is taken in f64.
fn centred(set: Tensor<2>) -> Tensor<2> {
    let ([rows, width], device) = (set.dims(), set.device());
    let mut values: Vec<f32> = set.try_into_vec_as().expect("any float");
    let mut mean = vec![0.0f64; width];
    values.chunks(width).for_each(|row| mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x)));
    mean.iter_mut().for_each(|mean| *mean /= rows as f64);
    let centre = |row: &mut [f32]| row.iter_mut().zip(&mean).for_each(|(x, mean)| *x = (f64::from(*x) - mean) as f32);
    values.par_chunks_mut(width).for_each(centre);
    Tensor::from_data(TensorData::new(values, [rows, width]), &device)
}

/// The inner products of the centred rows of each set, `[row, row]`, which must be finite.
fn grams(sets: &[Tensor<2>]) -> Result<Vec<Vec<f64>>> {
    sets.iter().enumerate().map(|(set, rows)| finite_gram(set, rows)).collect()
}

fn finite_gram(set: usize, rows: &Tensor<2>) -> Result<Vec<f64>> {
    let gram = gram(centred(rows.clone()));
    if gram.iter().all(|x| x.is_finite()) { Ok(gram) } else { Err(ProbeError::SetNotFinite { set }) }
}

/// The inner products of rows, `[row, row]`.
fn gram(rows: Tensor<2>) -> Vec<f64> {
    let gram: Vec<f32> = rows.clone().matmul(rows.transpose()).try_into_vec_as().expect("any float");
    gram.into_iter().map(f64::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use stratigraph_core::SplitMix64;

    fn noise(rows: usize, width: usize, seed: u64) -> Tensor<2> {
        let mut random = SplitMix64::new(seed);
        let values: Vec<f32> = (0..rows * width).map(|_| random.normal() as f32).collect();
        Tensor::from_data(TensorData::new(values, [rows, width]), &Device::flex())
    }

    /// A rotation of the first two axes and a reflection of the third.
    fn orthogonal() -> Tensor<2> {
        Tensor::from_data([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0], [0.0, 0.0, -1.0]], &Device::flex())
    }

    #[test]
    fn a_set_is_like_itself_turned_scaled_and_moved() {
        let x = noise(40, 3, 1);
        let turned = x.clone().matmul(orthogonal()) * 7.0 + 3.0;
        for matrix in [cka(&[x.clone(), turned.clone()]).unwrap(), cka_unbiased(&[x, turned]).unwrap()] {
            assert!(matrix.iter().flatten().all(|similarity| (similarity - 1.0).abs() < 1e-5), "{matrix:?}");
        }
    }

    #[test]
    fn neighbours_are_as_like_as_in_the_matrix_of_all() {
        let sets = [noise(9, 3, 1), noise(9, 4, 2), noise(9, 5, 3)];
        let all = cka(&sets).unwrap();
        let adjacent = cka_adjacent(&sets).unwrap();
        assert!((adjacent[0] - all[0][1]).abs() < 1e-12 && (adjacent[1] - all[2][1]).abs() < 1e-12);
        assert_eq!(adjacent.len(), 2);
    }

    #[test]
    fn unrelated_sets_are_unlike_by_the_unbiased_estimator_alone() {
        let (n, width, pairs) = (20, 50, 30);
        let means = |of: fn(&[Tensor<2>]) -> Result<Vec<Vec<f64>>>| {
            let one = |seed| of(&[noise(n, width, seed), noise(n, width, seed + 1000)]).unwrap()[0][1];
            (0..pairs).map(one).sum::<f64>() / pairs as f64
        };
        assert!(means(cka) > 0.5, "{}", means(cka)); // what the bias is
        assert!(means(cka_unbiased).abs() < 0.05, "{}", means(cka_unbiased));
    }

    #[test]
    fn sets_that_cannot_be_compared_are_refused() {
        let message = |sets: &[Tensor<2>]| cka_unbiased(sets).unwrap_err().to_string();
        assert!(message(&[noise(3, 2, 1)]).contains("cannot be 3: this estimator needs at least 4"));
        assert!(message(&[noise(5, 2, 1), noise(6, 2, 1)]).contains("cannot be 6: another set has 5"));
        assert!(message(&[noise(5, 2, 1), noise(5, 2, 1) * 1e20]).contains("set 1 are not finite"));
        assert!(cka(&[noise(5, 2, 1) * 1e20]).is_err());
    }

    #[test]
    fn numbers_are_those_of_the_formula_in_feature_space() {
        let (x, y) = (noise(30, 4, 5), noise(30, 6, 6));
        let dot = |a: &Tensor<2>, b: &Tensor<2>| -> f64 {
            let product = centred(a.clone()).transpose().matmul(centred(b.clone()));
            f64::from(product.square().sum().into_scalar::<f32>())
        };
        let expected = dot(&x, &y) / (dot(&x, &x) * dot(&y, &y)).sqrt();
        assert!((cka(&[x, y]).unwrap()[0][1] - expected).abs() < 1e-5);
    }
}
