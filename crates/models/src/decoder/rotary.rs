//! Rotary positions: [`Rotary`].
//!
//! Su et al., *RoFormer* (arXiv 2104.09864), with the two halves of a head rotated against each other as Hugging Face's
//! Llama does it. Angles are computed in f64.

use std::f64::consts::TAU;
use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use stratigraph_core::transfers;

use super::host;
use super::kept::Kept;
use crate::{LongRope, Rope, RopeScaling, Yarn};

/// Rotates queries and keys by their position; it belongs to the attention that owns it.
#[derive(Debug, Clone)]
pub(super) struct Rotary {
    /// Radians per position, `d_rotary / 2` of them from the highest frequency to the lowest.
    frequencies: Vec<f64>,
    /// Those of windows that are longer than the context the model was first trained with, where they differ.
    long: Option<Long>,
    /// What rotated numbers are multiplied by.
    factor: f64,
    /// The angles of the last runs.
    kept: Kept<Angles>,
}

/// The frequencies of windows of more than `above` tokens.
#[derive(Debug, Clone)]
struct Long {
    above: usize,
    frequencies: Vec<f64>,
}

/// Cosines and sines `[pos, 1, d_rotary / 2]` of the positions of one run.
#[derive(Clone)]
pub(super) struct Angles {
    cos: Tensor<3>,
    sin: Tensor<3>,
}

impl Rotary {
    pub(super) fn new(rope: &Rope) -> Self {
        let Rope { base, d_rotary, scaling } = rope;
        let plain: Vec<f64> = (0..d_rotary / 2).map(|i| base.powf(-2.0 * i as f64 / *d_rotary as f64)).collect();
        let divided = |divisors: &[f64]| plain.iter().zip(divisors).map(|(f, divisor)| f / divisor).collect::<Vec<_>>();
        let frequencies = divided(&divisors(rope, &plain));
        let (long, factor) = match scaling {
            RopeScaling::LongRope(LongRope { long, original_n_ctx, attention_factor, .. }) => {
                (Some(Long { above: *original_n_ctx, frequencies: divided(long) }), *attention_factor)
            }
            RopeScaling::Yarn(yarn) => (None, yarn.attention_factor),
            _ => (None, 1.0),
        };
        Self { frequencies, long, factor, kept: Kept::default() }
    }

    /// The angles of some positions of a window that ends with them, which the layers of a run share.
    pub(super) fn angles(&self, positions: Range<usize>, device: &Device) -> Angles {
        self.kept.get([positions.start, positions.end, 0], device, || self.computed(positions, device))
    }

    fn computed(&self, positions: Range<usize>, device: &Device) -> Angles {
        let long = self.long.as_ref().filter(|long| positions.end > long.above);
        let frequencies = long.map_or(&self.frequencies, |long| &long.frequencies);
        let shape = [positions.len(), 1, frequencies.len()];
        let angles = positions.flat_map(|pos| frequencies.iter().map(move |frequency| pos as f64 * frequency));
        let scaled = |x: f64| (x * self.factor) as f32;
        let (sin, cos): (Vec<f32>, Vec<f32>) = angles.map(f64::sin_cos).map(|(s, c)| (scaled(s), scaled(c))).unzip();
        let tensor = |values| transfers::upload(TensorData::new(values, shape), device);
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

/// The divisor of each of the `plain` frequencies.
fn divisors(rope: &Rope, plain: &[f64]) -> Vec<f64> {
    match &rope.scaling {
        RopeScaling::None | RopeScaling::Dynamic { .. } => vec![1.0; plain.len()],
        RopeScaling::Linear { factor } => vec![*factor; plain.len()],
        RopeScaling::PerFrequency { divisors } => divisors.clone(),
        RopeScaling::LongRope(long_rope) => long_rope.short.clone(),
        RopeScaling::Yarn(yarn) => yarn_divisors(yarn, rope),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_n_ctx } => {
            let divisor = |frequency: &f64| {
                let turns = *original_n_ctx as f64 * frequency / TAU; // in the original context
                let kept = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                interpolated(kept, *factor)
            };
            plain.iter().map(divisor).collect()
        }
    }
}

/// The divisor of a frequency of which a part is kept, and the rest divided by `factor`.
fn interpolated(kept: f64, factor: f64) -> f64 {
    1.0 / (kept + (1.0 - kept) / factor)
}

/// Divisors that rise from 1 to the factor between the frequency that turns `beta_fast` times in the original context and
/// the one that turns `beta_slow` times; the rise is linear in the frequency's index.
fn yarn_divisors(yarn: &Yarn, rope: &Rope) -> Vec<f64> {
    let width = rope.d_rotary as f64;
    // Where in the list of frequencies one that turns so often stands.
    let index = |turns: f64| width * (yarn.original_n_ctx as f64 / (turns * TAU)).ln() / (2.0 * rope.base.ln());
    let (first, last) = (index(yarn.beta_fast), index(yarn.beta_slow));
    let (first, last) = if yarn.truncate { (first.floor(), last.ceil()) } else { (first, last) };
    let (first, last) = (first.max(0.0), last.min(width - 1.0));
    let last = if first == last { last + 0.001 } else { last };
    let divisor = |i: usize| {
        let kept = 1.0 - ((i as f64 - first) / (last - first)).clamp(0.0, 1.0);
        interpolated(kept, yarn.factor)
    };
    (0..rope.d_rotary / 2).map(divisor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_keeps_short_waves_and_divides_long_ones() {
        let scaling =
            RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_n_ctx: 8192 };
        let rope = Rope { base: 1e4, d_rotary: 2, scaling };
        let wave = |wavelength: f64| divisors(&rope, &[TAU / wavelength])[0];
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
        let angles = Rotary::new(&rope).angles(0..5, &device);
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

    #[test]
    fn yarn_keeps_fast_frequencies_and_divides_slow_ones() {
        let rope = Rope { base: 1e4, d_rotary: 64, scaling: RopeScaling::Yarn(Yarn::new(4.0, 2048)) };
        let divisors = divisors(&rope, &[0.0; 32]);
        assert!(divisors.is_sorted(), "{divisors:?}");
        assert_eq!((divisors[0], divisors[31]), (1.0, 4.0));
        // The frequency that turns 32 times in 2048 positions has the index 64 ln(2048 / 32 / tau) / (2 ln 1e4) = 8.06.
        assert_eq!(divisors[8], 1.0);
        assert!(divisors[9] > 1.0);
        let length = Rotary::new(&rope).angles(0..1, &Device::flex()).cos.max().into_scalar::<f32>();
        assert!((length - (0.1 * 4f32.ln() + 1.0)).abs() < 1e-6);
    }

    #[test]
    fn long_rope_depends_on_the_length_of_the_window() {
        let long_rope =
            LongRope { short: vec![1.0, 2.0], long: vec![4.0, 8.0], original_n_ctx: 3, attention_factor: 1.0 };
        let rope = Rope { base: 100.0, d_rotary: 4, scaling: RopeScaling::LongRope(long_rope) };
        let rotary = Rotary::new(&rope);
        let sines = |seq_len: usize| -> Vec<f32> {
            rotary.angles(0..seq_len, &Device::flex()).sin.narrow(0, 1, 1).try_into_vec_as().unwrap()
        };
        for (seq_len, expected) in [(3, [1.0f64, 0.05]), (4, [0.25, 0.0125])] {
            assert_eq!(sines(seq_len), expected.map(|angle| angle.sin() as f32), "{seq_len}");
        }
    }
}
