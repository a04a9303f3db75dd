//! Norms of rows: [`rms_norm`], [`layer_norm`].

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

#[cfg(test)]
mod tests {
    use super::*;

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
