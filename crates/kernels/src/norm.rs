//! Norms of rows, in place: [`rms_norm`], [`layer_norm`].

use crate::for_best_cpu;

/// Numbers that go side by side through a row.
const LANES: usize = 16;

/// The sum of `f(x)` over a row, lane by lane.
#[inline(always)]
fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (groups, rest) = row.as_chunks::<LANES>();
    for group in groups {
        for lane in 0..LANES {
            lanes[lane] += f(group[lane]);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&x| f(x)).sum::<f32>()
}

for_best_cpu! {
    /// `x / sqrt(mean(x^2) + eps) * gain` in each row of as many numbers as there are gains.
    ///
    /// # Panics
    /// When there are no gains.
    pub fn rms_norm(rows: &mut [f32], gains: &[f32], eps: f32) -> () {
        for row in rows.chunks_mut(gains.len()) {
            let scale = 1.0 / (sum(row, |x| x * x) / gains.len() as f32 + eps).sqrt();
            for (x, gain) in row.iter_mut().zip(gains) {
                *x = *x * scale * gain;
            }
        }
    }
}

for_best_cpu! {
    /// `(x - mean) / sqrt(variance + eps) * gain + bias` in each row of as many numbers as there are gains, with the
    /// population variance.
    ///
    /// # Panics
    /// When there are no gains, or another number of biases.
    pub fn layer_norm(rows: &mut [f32], gains: &[f32], biases: &[f32], eps: f32) -> () {
        assert_eq!(gains.len(), biases.len(), "a bias for each gain");
        let n = gains.len() as f32;
        for row in rows.chunks_mut(gains.len()) {
            let mean = sum(row, |x| x) / n;
            let scale = 1.0 / (sum(row, |x| (x - mean) * (x - mean)) / n + eps).sqrt();
            for ((x, gain), bias) in row.iter_mut().zip(gains).zip(biases) {
                *x = (*x - mean) * scale * gain + bias;
            }
        }
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
            let (mut rms, mut layer) = (rows.clone(), rows.clone());
            rms_norm(&mut rms, &gains, 1e-5);
            layer_norm(&mut layer, &gains, &biases, 1e-5);
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
