//! Rotary positions: [`Rotary`].
//!
//! Su et al., *RoFormer* (arXiv 2104.09864), with the two halves of a head rotated against each other as Hugging Face's
//! Llama does it. Angles are computed in f64.

use std::f64::consts::TAU;

use burn::tensor::{Device, Tensor, TensorData};

use super::host;
use crate::{Rope, RopeScaling};

/// Rotates queries and keys by their position; it belongs to the attention that owns it.
#[derive(Debug, Clone)]
pub(super) struct Rotary {
    /// Radians per position, `d_rotary / 2` of them from the highest frequency to the lowest.
    frequencies: Vec<f64>,
}

/// Cosines and sines `[pos, 1, d_rotary / 2]` of the positions of one run.
pub(super) struct Angles {
    cos: Tensor<3>,
    sin: Tensor<3>,
}

impl Rotary {
    pub(super) fn new(rope: &Rope) -> Self {
        let Rope { base, d_rotary, scaling } = rope;
        let plain = (0..d_rotary / 2).map(|i| base.powf(-2.0 * i as f64 / *d_rotary as f64));
        let frequencies = plain.enumerate().map(|(i, frequency)| frequency / divisor(scaling, i, frequency)).collect();
        Self { frequencies }
    }

    /// The angles of positions `0..seq_len`.
    pub(super) fn angles(&self, seq_len: usize, device: &Device) -> Angles {
        let angles = (0..seq_len).flat_map(|pos| self.frequencies.iter().map(move |frequency| pos as f64 * frequency));
        let (sin, cos): (Vec<f32>, Vec<f32>) = angles.map(f64::sin_cos).map(|(s, c)| (s as f32, c as f32)).unzip();
        let tensor = |values| Tensor::from_data(TensorData::new(values, [seq_len, 1, self.frequencies.len()]), device);
        Angles { cos: tensor(cos), sin: tensor(sin) }
    }
}

impl Angles {
    /// The cosines and sines as plain numbers.
    pub(super) fn to_host(&self) -> (TensorData, TensorData) {
        (host::floats(self.cos.clone()), host::floats(self.sin.clone()))
    }

    /// Angles of a position.
    pub(super) fn half(&self) -> usize {
        self.cos.dims()[2]
    }

    /// Rotates the first `d_rotary` numbers of each of `heads`, `[batch, pos, n_heads, d_head]`.
    pub(super) fn rotate(&self, heads: Tensor<4>) -> Tensor<4> {
        let [_, _, _, d_head] = heads.dims();
        let half = self.half();
        let (cos, sin) = (self.cos.clone().unsqueeze::<4>(), self.sin.clone().unsqueeze::<4>());
        let first = heads.clone().narrow(3, 0, half);
        let second = heads.clone().narrow(3, half, half);
        let turned = [first.clone() * cos.clone() - second.clone() * sin.clone(), second * cos + first * sin];
        let kept = (2 * half < d_head).then(|| heads.narrow(3, 2 * half, d_head - 2 * half));
        Tensor::cat(turned.into_iter().chain(kept).collect(), 3)
    }
}

/// The divisor of the `i`-th frequency.
fn divisor(scaling: &RopeScaling, i: usize, frequency: f64) -> f64 {
    match scaling {
        RopeScaling::None => 1.0,
        RopeScaling::Linear { factor } => *factor,
        RopeScaling::PerFrequency { divisors } => divisors[i],
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_n_ctx } => {
            let turns = *original_n_ctx as f64 * frequency / TAU; // in the original context
            let kept = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
            1.0 / (kept + (1.0 - kept) / factor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_keeps_short_waves_and_divides_long_ones() {
        let scaling =
            RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_n_ctx: 8192 };
        let wave = |wavelength: f64| divisor(&scaling, 0, TAU / wavelength);
        assert_eq!(wave(100.0), 1.0);
        assert_eq!(wave(8192.0 / 4.0), 1.0);
        assert_eq!(wave(8192.0), 8.0);
        assert_eq!(wave(1e6), 8.0);
        assert!(wave(4000.0) > 1.0 && wave(4000.0) < 8.0);
    }

    #[test]
    fn rotation_keeps_lengths_and_depends_on_distance_alone() {
        let device = Device::flex();
        let rope = Rope { base: 100.0, d_rotary: 4, scaling: RopeScaling::None };
        let angles = Rotary::new(&rope).angles(5, &device);
        let same = |values: [f32; 6]| Tensor::<1>::from_floats(values, &device).reshape([1, 1, 1, 6]).repeat_dim(1, 5);
        let query = angles.rotate(same([1.0, 2.0, -1.0, 0.5, 0.0, 3.0]));
        let key = angles.rotate(same([0.3, -2.0, 1.0, 0.5, 1.0, -1.0]));
        let norms: Vec<f32> = query.clone().square().sum_dim(3).try_into_vec_as().unwrap();
        assert!(norms.iter().all(|norm| (norm - norms[0]).abs() < 1e-5));
        let at = |heads: &Tensor<4>, pos: usize| heads.clone().narrow(1, pos, 1);
        let kept: Vec<f32> = query.clone().narrow(3, 4, 2).try_into_vec_as().unwrap();
        assert_eq!(kept, [0.0, 3.0].repeat(5), "what is not rotated stays");
        let dot = |q: usize, k: usize| (at(&query, q) * at(&key, k)).sum().into_scalar::<f32>();
        assert!((dot(3, 1) - dot(4, 2)).abs() < 1e-5);
        assert!((dot(3, 1) - dot(3, 2)).abs() > 1e-2);
    }
}
