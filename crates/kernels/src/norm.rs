//! Norms of rows, [`rms_norm`] and [`layer_norm`]; their divisors, [`rms_scales`] and [`layer_scales`]; and norms with given
//! divisors, [`rms_norm_by`] and [`layer_norm_by`].

use crate::for_best_cpu;
use crate::lanes::sum;

for_best_cpu! {
    /// `x / sqrt(mean(x^2) + eps) * gain` of each row of as many numbers as there are gains.
    ///
    /// # Panics
    /// When there are no gains.
    pub fn rms_norm(rows: &[f32], gains: &[f32], eps: f32) -> Vec<f32> {
        let mut normed = Vec::with_capacity(rows.len());
        for row in rows.chunks(gains.len()) {
            let scale = 1.0 / (sum(row, |x| x * x) / gains.len() as f32 + eps).sqrt();
            normed.extend(row.iter().zip(gains).map(|(x, gain)| x * scale * gain));
        }
        normed
    }
}

for_best_cpu! {
    /// `(x - mean) / sqrt(variance + eps) * gain + bias` of each row of as many numbers as there are gains, with the
    /// population variance.
    ///
    /// # Panics
    /// When there are no gains, or another number of biases.
    pub fn layer_norm(rows: &[f32], gains: &[f32], biases: &[f32], eps: f32) -> Vec<f32> {
        assert_eq!(gains.len(), biases.len(), "a bias for each gain");
        let (n, mut normed) = (gains.len() as f32, Vec::with_capacity(rows.len()));
        for row in rows.chunks(gains.len()) {
            let mean = sum(row, |x| x) / n;
            let scale = 1.0 / (sum(row, |x| (x - mean) * (x - mean)) / n + eps).sqrt();
            let affine = |((x, gain), bias): ((&f32, &f32), &f32)| (x - mean) * scale * gain + bias;
            normed.extend(row.iter().zip(gains).zip(biases).map(affine));
        }
        normed
    }
}

for_best_cpu! {
    /// `sqrt(mean(x^2) + eps)` of each row of `width` numbers: the divisors of [`rms_norm`].
    ///
    /// # Panics
    /// When the width is 0.
    pub fn rms_scales(rows: &[f32], width: usize, eps: f32) -> Vec<f32> {
        rows.chunks(width).map(|row| (sum(row, |x| x * x) / width as f32 + eps).sqrt()).collect()
    }
}

for_best_cpu! {
    /// `sqrt(variance + eps)` of each row of `width` numbers: the divisors of [`layer_norm`].
    ///
    /// # Panics
    /// When the width is 0.
    pub fn layer_scales(rows: &[f32], width: usize, eps: f32) -> Vec<f32> {
        let n = width as f32;
        let scale = |row: &[f32]| {
            let mean = sum(row, |x| x) / n;
            (sum(row, |x| (x - mean) * (x - mean)) / n + eps).sqrt()
        };
        rows.chunks(width).map(scale).collect()
    }
}

for_best_cpu! {
    /// `x / scale * gain` of each row, with a scale for each: [`rms_norm`] to the bit where they are its [`rms_scales`].
    ///
    /// # Panics
    /// When there are no gains.
    pub fn rms_norm_by(rows: &[f32], gains: &[f32], scales: &[f32]) -> Vec<f32> {
        let mut normed = Vec::with_capacity(rows.len());
        for (row, scale) in rows.chunks(gains.len()).zip(scales) {
            let scale = 1.0 / scale;
            normed.extend(row.iter().zip(gains).map(|(x, gain)| x * scale * gain));
        }
        normed
    }
}

for_best_cpu! {
    /// `(x - mean) / scale * gain + bias` of each row, with a scale for each: [`layer_norm`] to the bit where they are its
    /// [`layer_scales`].
    ///
    /// # Panics
    /// When there are no gains, or another number of biases.
    pub fn layer_norm_by(rows: &[f32], gains: &[f32], biases: &[f32], scales: &[f32]) -> Vec<f32> {
        assert_eq!(gains.len(), biases.len(), "a bias for each gain");
        let (n, mut normed) = (gains.len() as f32, Vec::with_capacity(rows.len()));
        for (row, scale) in rows.chunks(gains.len()).zip(scales) {
            let mean = sum(row, |x| x) / n;
            let scale = 1.0 / scale;
            let affine = |((x, gain), bias): ((&f32, &f32), &f32)| (x - mean) * scale * gain + bias;
            normed.extend(row.iter().zip(gains).zip(biases).map(affine));
        }
        normed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_by_their_own_scales_are_the_norms_to_the_bit() {
        for width in [1, 15, 16, 35, 576] {
            let number = |i: usize| ((i * 29) as f32 * 0.13).sin() * 2.0 - 0.3;
            let rows: Vec<f32> = (0..4 * width).map(number).collect();
            let (gains, biases): (Vec<f32>, Vec<f32>) = (0..width).map(|i| (1.0 + number(i), number(3 * i))).unzip();
            let (rms, layer) = (rms_scales(&rows, width, 1e-5), layer_scales(&rows, width, 1e-5));
            assert_eq!((rms.len(), layer.len()), (4, 4));
            assert_eq!(rms_norm_by(&rows, &gains, &rms), rms_norm(&rows, &gains, 1e-5));
            assert_eq!(layer_norm_by(&rows, &gains, &biases, &layer), layer_norm(&rows, &gains, &biases, 1e-5));
            for ((row, rms), layer) in rows.chunks(width).zip(&rms).zip(&layer) {
                let mean_of = |f: &dyn Fn(f64) -> f64| row.iter().map(|&x| f(x.into())).sum::<f64>() / width as f64;
                let (mean, square) = (mean_of(&|x| x), mean_of(&|x| x * x));
                let variance = mean_of(&|x| (x - mean).powi(2));
                assert!((f64::from(*rms) - (square + 1e-5).sqrt()).abs() < 1e-5, "{width}");
                assert!((f64::from(*layer) - (variance + 1e-5).sqrt()).abs() < 1e-5, "{width}");
            }
            // Twice the divisor gives half of the normed row.
            let twice: Vec<f32> = rms.iter().map(|scale| 2.0 * scale).collect();
            let half: Vec<f32> = rms_norm(&rows, &gains, 1e-5).iter().map(|x| x / 2.0).collect();
            assert_eq!(rms_norm_by(&rows, &gains, &twice), half);
        }
    }

    #[test]
    fn norms_are_their_definitions() {
        for width in [1, 15, 16, 35, 576] {
            let number = |i: usize| ((i * 37) as f32 * 0.11).sin() * 3.0 + 0.7;
            let rows: Vec<f32> = (0..3 * width).map(number).collect();
            let (gains, biases): (Vec<f32>, Vec<f32>) = (0..width).map(|i| (1.0 + number(i), number(2 * i))).unzip();
            let (rms, layer) = (rms_norm(&rows, &gains, 1e-5), layer_norm(&rows, &gains, &biases, 1e-5));
            for (i, row) in rows.chunks(width).enumerate() {
                let mean_of = |f: &dyn Fn(f64) -> f64| row.iter().map(|&x| f(x.into())).sum::<f64>() / width as f64;
                let (mean, square) = (mean_of(&|x| x), mean_of(&|x| x * x));
                let variance = mean_of(&|x| (x - mean).powi(2));
                for (j, &x) in row.iter().enumerate() {
                    let (x, gain, bias) = (f64::from(x), f64::from(gains[j]), f64::from(biases[j]));
                    let expected =
                        [x / (square + 1e-5).sqrt() * gain, (x - mean) / (variance + 1e-5).sqrt() * gain + bias];
                    for (found, expected) in [rms[i * width + j], layer[i * width + j]].into_iter().zip(expected) {
                        assert!((f64::from(found) - expected).abs() < 1e-4, "{width}: {found} and {expected}");
                    }
                }
            }
        }
    }
}
