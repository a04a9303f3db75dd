//! Distributions as tensors on their device, in chunks of the vocabulary: [`DeviceRows`].

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};

use crate::distributions::{Distributions, host};

/// Log-probabilities of some rows.
///
/// Chunks of logits are normalised by one log-sum-exp over all of them, combined on the host from each chunk's maximum
/// and sum.
pub(crate) struct DeviceRows {
    /// `[rows, chunk]` each, natural logarithms.
    chunks: Vec<Tensor<2>>,
    ranges: Vec<Range<usize>>,
    /// The most likely token of each row, the lowest id on ties.
    top1: Vec<usize>,
}

impl Distributions for DeviceRows {
    fn normalise(logits: Vec<Tensor<2>>, ranges: Vec<Range<usize>>) -> Self {
        let [n_rows, _] = logits[0].dims();
        let device = logits[0].device();
        let mut rows = vec![RunningLse::default(); n_rows];
        for (chunk, range) in logits.iter().zip(&ranges) {
            let (max, argmax) = chunk.clone().max_dim_with_indices(1);
            let max = max.clamp_min(f32::MIN); // a chunk may be minus infinity throughout
            let sums = host((chunk.clone() - max.clone()).exp().sum_dim(1));
            let argmax = argmax.try_into_vec_as::<i64>().expect("indices are integers");
            for (row, ((max, sum), argmax)) in rows.iter_mut().zip(host(max).into_iter().zip(sums).zip(argmax)) {
                row.add(max, sum, range.start + argmax as usize);
            }
        }
        let lse: Vec<f32> = rows.iter().map(|row| row.log_sum_exp()).collect();
        let lse = Tensor::<2>::from_data(TensorData::new(lse, [n_rows, 1]), &device);
        let chunks = logits.into_iter().map(|chunk| chunk - lse.clone()).collect();
        Self { chunks, ranges, top1: rows.into_iter().map(|row| row.top1).collect() }
    }

    fn top1(&self) -> Vec<usize> {
        self.top1.clone()
    }

    fn kl(&self, other: &Self) -> Vec<f64> {
        let pairs = self.chunks.iter().zip(&other.chunks);
        self.sum_rows(pairs.map(|(p, q)| expectation(p, p.clone() - q.clone())))
    }

    fn entropy_bits(&self) -> Vec<f64> {
        let nats = self.sum_rows(self.chunks.iter().map(|q| expectation(q, q.clone())));
        nats.into_iter().map(|nats| -nats / std::f64::consts::LN_2).collect()
    }

    fn of_tokens(&self, tokens: &[usize]) -> Vec<f64> {
        let mut found = vec![f64::NAN; tokens.len()];
        for (chunk, range) in self.chunks.iter().zip(&self.ranges) {
            let local = tokens.iter().map(|token| token.clamp(&range.start, &(range.end - 1)) - range.start);
            let local: Vec<i32> = local.map(|token| token as i32).collect();
            let index = TensorData::new(local, [tokens.len(), 1]);
            let values = host(chunk.clone().gather(1, Tensor::<2, Int>::from_data(index, &chunk.device())));
            for ((found, token), value) in found.iter_mut().zip(tokens).zip(values) {
                if range.contains(token) {
                    *found = value.into();
                }
            }
        }
        found
    }
}

impl DeviceRows {
    /// Adds `[rows, 1]` of every chunk in f64.
    fn sum_rows(&self, parts: impl Iterator<Item = Tensor<2>>) -> Vec<f64> {
        let mut sums = vec![0.0; self.top1.len()];
        for part in parts {
            sums.iter_mut().zip(host(part)).for_each(|(sum, value)| *sum += f64::from(value));
        }
        sums
    }
}

/// `sum(exp(log_probs) * values)` of each row, `[rows, 1]`; where the probability is 0 the term is 0.
fn expectation(log_probs: &Tensor<2>, values: Tensor<2>) -> Tensor<2> {
    let probs = log_probs.clone().exp();
    let impossible = probs.clone().equal_elem(0.0);
    (probs * values).mask_fill(impossible, 0.0).sum_dim(1)
}

/// The log-sum-exp and the maximum of a row whose chunks come one after the other.
#[derive(Debug, Clone, Copy)]
struct RunningLse {
    max: f32,
    sum: f64,
    top1: usize,
}

impl Default for RunningLse {
    fn default() -> Self {
        Self { max: f32::NEG_INFINITY, sum: 0.0, top1: 0 }
    }
}

impl RunningLse {
    /// A chunk with maximum `max` at token `top1` and `sum = sum(exp(logit - max))`.
    fn add(&mut self, max: f32, sum: f32, top1: usize) {
        let rescale = |from: f32, to: f32| f64::from(from - to).exp();
        if max > self.max {
            let kept = if self.sum == 0.0 { 0.0 } else { self.sum * rescale(self.max, max) };
            *self = Self { max, sum: kept + f64::from(sum), top1 };
        } else {
            self.sum += f64::from(sum) * rescale(max, self.max);
        }
    }

    fn log_sum_exp(&self) -> f32 {
        (f64::from(self.max) + self.sum.ln()) as f32
    }
}
