//! From the products of queries and keys to attention probabilities: scale, soft cap, ALiBi, mask, sinks and softmax. Where
//! there are more keys than queries, the queries are those of the last positions.

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use half::bf16;
use stratigraph_core::transfers;
use stratigraph_kernels as kernels;

use super::super::host;
use super::super::kept::Kept;
use super::{Attention, before_window};

impl Attention {
    /// Queries `[batch, n_heads, pos, d_head]` of positions from `first` on, multiplied by what the model multiplies each
    /// position's by.
    pub(super) fn scaled_by_position(&self, query: Tensor<4>, first: usize) -> Tensor<4> {
        let Some(scaling) = self.scoring.query_scaling else { return query };
        let ([_, _, pos, _], device) = (query.dims(), query.device());
        let factor = |pos: usize| (1.0 + scaling.beta * (1.0 + (pos / scaling.original_n_ctx) as f64).ln()) as f32;
        let factors = || TensorData::new((first..first + pos).map(factor).collect::<Vec<_>>(), [1, 1, pos, 1]);
        let uploaded = || transfers::upload(factors(), &device);
        query * self.scoring.kept.factors.get([first, pos, 0], &device, uploaded)
    }

    /// Attention probabilities `[batch, n_heads, query, key]` of the products of queries and keys.
    pub(super) fn pattern(&self, products: Tensor<4>) -> Tensor<4> {
        if self.scoring.soft_cap.is_none() && self.scoring.alibi.is_none() {
            return self.softmax(products, self.scoring.scale);
        }
        self.softmax(self.scores(products), 1.0)
    }

    /// Scores before the mask: scaled, capped and with their bias.
    pub(super) fn scores(&self, products: Tensor<4>) -> Tensor<4> {
        let ([_, _, queries, keys], device) = (products.dims(), products.device());
        let scores = products * self.scoring.scale;
        let scores = match self.scoring.soft_cap {
            Some(cap) => (scores / cap).tanh() * cap,
            None => scores,
        };
        match self.scoring.alibi {
            Some(alibi) => scores + self.alibi(alibi, [queries, keys], &device),
            None => scores,
        }
    }

    /// The softmax of `scale` times the scores over the keys that a query sees, and the sink where there is one.
    pub(super) fn softmax(&self, scores: Tensor<4>, scale: f64) -> Tensor<4> {
        let ([_, _, queries, keys], device) = (scores.dims(), scores.device());
        if let Some(sinks) = &self.sinks {
            return with_sinks(self.masked(scores * scale), sinks.val());
        }
        if host::on_host(&device) {
            let (shape, window, scale) = ([queries, keys], self.window_within(keys), scale as f32);
            return host::edit(scores, queries * keys, |heads| kernels::causal_softmax(heads, shape, window, scale));
        }
        softmax(self.masked(scores * scale), 3)
    }

    /// Scores `[batch, n_heads, query, key]` with minus infinity where a query does not see a key.
    pub(super) fn masked(&self, scores: Tensor<4>) -> Tensor<4> {
        let ([_, _, queries, keys], device) = (scores.dims(), scores.device());
        let window = self.window_within(keys);
        let key = [queries, keys, window.unwrap_or(keys)];
        let unseen = self.scoring.kept.masks.get(key, &device, || unseen([queries, keys], window, &device));
        let unseen = unseen.unsqueeze::<4>().expand(scores.dims());
        scores.mask_fill(unseen, f32::NEG_INFINITY)
    }

    /// ALiBi's bias, `[1, n_heads, query, key]`, or `[1, n_heads, 1, key]` where it is the same for each query. A small one is kept.
    pub(super) fn alibi(&self, alibi: Alibi, [queries, keys]: [usize; 2], device: &Device) -> Tensor<4> {
        /// Numbers that are kept at most.
        const SMALL: usize = 1 << 20;
        let bias = || self.computed_alibi(alibi, [queries, keys], device);
        if self.n_heads * queries * keys > SMALL {
            return bias();
        }
        self.scoring.kept.biases.get([queries, keys, 0], device, bias)
    }

    fn computed_alibi(&self, alibi: Alibi, [queries, keys]: [usize; 2], device: &Device) -> Tensor<4> {
        let n_heads = self.n_heads;
        if alibi == Alibi::ByKeyRounded {
            let of_head = |slope| (0..keys).map(move |key| (rounded_bias(slope, key) * self.scoring.scale) as f32);
            let bias: Vec<f32> = slopes(n_heads).into_iter().flat_map(of_head).collect();
            return transfers::upload(TensorData::new(bias, [1, n_heads, 1, keys]), device);
        }
        let mut bias = Vec::with_capacity(n_heads * queries * keys);
        for slope in slopes(n_heads) {
            let by_distance: Vec<f32> = (0..keys).map(|distance| (-slope * distance as f64) as f32).collect();
            for query in keys - queries..keys {
                bias.extend((0..keys).map(|key| by_distance[query.saturating_sub(key)]));
            }
        }
        transfers::upload(TensorData::new(bias, [1, n_heads, queries, keys]), device)
    }
}

/// What scores of all layers share, kept on the device.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct KeptScoring {
    /// `[query, key]`: where a query does not see a key.
    masks: Kept<Tensor<2, Bool>>,
    /// ALiBi's.
    biases: Kept<Tensor<4>>,
    /// Of queries, by position.
    factors: Kept<Tensor<4>>,
}

/// True `[query, key]` where a query does not see a key: where it lies after it, or before its window.
fn unseen([queries, keys]: [usize; 2], window: Option<usize>, device: &Device) -> Tensor<2, Bool> {
    // tril_mask is true above a diagonal: where a key lies after its query.
    let future = Tensor::<2, Bool>::tril_mask([queries, keys], (keys - queries) as i64, device);
    match window {
        Some(window) => future.bool_or(before_window([queries, keys], window, device)),
        None => future,
    }
}

/// What ALiBi adds to scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Alibi {
    /// Minus the slope of the head times the distance of query and key.
    ByDistance,
    /// The slope of the head times the position of the key, in bfloat16, times the factor of scores. A softmax gives the same
    /// up to the rounding.
    ByKeyRounded,
}

/// A slope times a position, with both and their product rounded to bfloat16.
fn rounded_bias(slope: f64, key: usize) -> f64 {
    let [slope, key] = [bf16::from_f32(slope as f32), bf16::from_f32(key as f32)];
    bf16::from_f32(slope.to_f32() * key.to_f32()).to_f64()
}

/// The softmax over masked scores and one score `[n_heads]` for each head, whose probability is then left out.
fn with_sinks(scores: Tensor<4>, sinks: Tensor<1>) -> Tensor<4> {
    let [batch, n_heads, pos, keys] = scores.dims();
    let sinks = sinks.reshape([1, n_heads, 1, 1]).expand([batch, n_heads, pos, 1]);
    softmax(Tensor::cat(vec![scores, sinks], 3), 3).narrow(3, 0, keys)
}

/// ALiBi's slopes: for a power of two `n` the powers of `2^(-8 / n)`; otherwise those of the next smaller power of two, and
/// every other one of the next larger.
fn slopes(n_heads: usize) -> Vec<f64> {
    let of_power = |n: usize| (1..=n).map(move |i| (-8.0 * i as f64 / n as f64).exp2());
    let smaller = if n_heads.is_power_of_two() { n_heads } else { n_heads.next_power_of_two() / 2 };
    of_power(smaller).chain(of_power(2 * smaller).step_by(2)).take(n_heads).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_eight_and_of_twelve_heads() {
        assert_eq!(slopes(8), (1..=8).map(|i| 0.5f64.powi(i)).collect::<Vec<_>>());
        let twelve = slopes(12);
        assert_eq!(twelve[..8], slopes(8));
        assert_eq!(twelve[8..], slopes(16).into_iter().step_by(2).take(4).collect::<Vec<_>>());
    }

    /// The expected numbers are torch's: `slopes.bfloat16() * torch.tensor([1, 11, 257, 1000, 2047])` for 64 heads.
    #[test]
    fn the_bias_of_falcon_is_rounded_as_torch_rounds_it() {
        let slopes = slopes(64);
        for (head, expected) in [
            (0, [0.91796875, 10.125, 235.0, 916.0, 1880.0]),
            (5, [0.59375, 6.53125, 152.0, 592.0, 1216.0]),
            (63, [0.00390625, 0.04296875, 1.0, 3.90625, 8.0]),
        ] {
            assert_eq!([1, 11, 257, 1000, 2047].map(|key| rounded_bias(slopes[head], key)), expected, "head {head}");
        }
    }

    #[test]
    fn a_sink_takes_its_share() {
        let device = Device::flex();
        let scores = Tensor::<4>::from_data([[[[1.0f32, 2.0]], [[0.0, 0.0]]]], &device);
        let sinks = Tensor::<1>::from_data([2.0f32, 0.0], &device);
        let pattern: Vec<f32> = with_sinks(scores, sinks).try_into_vec_as().unwrap();
        let sum = 1f32.exp() + 2.0 * 2f32.exp();
        let expected = [1f32.exp() / sum, 2f32.exp() / sum, 1.0 / 3.0, 1.0 / 3.0];
        assert!(pattern.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{pattern:?}");
    }
}
