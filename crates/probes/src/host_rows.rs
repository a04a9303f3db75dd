//! Distributions in the host's memory: [`HostRows`].

use std::cell::OnceCell;
use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use stratigraph_kernels::softmax::{self, Normed, RowSum};

use crate::distributions::{Distributions, host};

/// Logits of some rows with the reductions of each.
pub(crate) struct HostRows {
    /// `[rows, d_vocab]` of f32, in the memory that the tensor had.
    logits: TensorData,
    d_vocab: usize,
    sums: Vec<RowSum>,
    /// The probabilities, when a divergence from these rows is asked for.
    probs: OnceCell<Vec<f32>>,
}

impl HostRows {
    fn logits(&self) -> &[f32] {
        floats(&self.logits)
    }

    fn row(&self, row: usize) -> Normed<'_> {
        Normed { logits: &self.logits()[row * self.d_vocab..(row + 1) * self.d_vocab], lse: self.sums[row].lse }
    }

    fn probs(&self) -> &[f32] {
        self.probs.get_or_init(|| {
            let mut probs = vec![0.0; self.logits().len()];
            let rows = probs.par_chunks_mut(self.d_vocab).zip(self.logits().par_chunks(self.d_vocab));
            rows.zip(&self.sums).for_each(|((probs, logits), sum)| softmax::probs(logits, sum.lse, probs));
            probs
        })
    }
}

impl Distributions for HostRows {
    fn normalise(logits: Vec<Tensor<2>>, ranges: Vec<Range<usize>>) -> Self {
        let d_vocab = ranges.last().expect("a vocabulary has tokens").end;
        let logits = join(logits, d_vocab);
        let sums = floats(&logits).par_chunks(d_vocab).map(softmax::row_sum).collect();
        Self { logits, d_vocab, sums, probs: OnceCell::new() }
    }

    fn top1(&self) -> Vec<usize> {
        self.sums.iter().map(|sum| sum.top1).collect()
    }

    fn kl(&self, other: &Self) -> Vec<f64> {
        let rows = self.probs().par_chunks(self.d_vocab).enumerate();
        // `HostRows` is not `Sync`, its rows are.
        let pairs: Vec<_> = (0..self.sums.len()).map(|row| (self.row(row), other.row(row))).collect();
        rows.map(|(row, probs)| softmax::kl(probs, pairs[row].0, pairs[row].1)).collect()
    }

    fn entropy_bits(&self) -> Vec<f64> {
        self.sums.iter().map(|sum| sum.entropy / std::f64::consts::LN_2).collect()
    }

    fn of_tokens(&self, tokens: &[usize]) -> Vec<f64> {
        let rows = tokens.iter().enumerate();
        rows.map(|(row, &token)| f64::from(self.logits()[row * self.d_vocab + token] - self.sums[row].lse)).collect()
    }
}

/// Chunks `[rows, chunk]` side by side, as `[rows, d_vocab]`; a single one is taken as it is.
fn join(mut chunks: Vec<Tensor<2>>, d_vocab: usize) -> TensorData {
    if chunks.len() == 1 {
        return chunks.remove(0).into_data_as::<f32>();
    }
    let [n_rows, _] = chunks[0].dims();
    let mut joined = vec![0.0; n_rows * d_vocab];
    let mut start = 0;
    for chunk in chunks {
        let [_, width] = chunk.dims();
        for (row, values) in host(chunk).chunks(width).enumerate() {
            joined[row * d_vocab + start..][..width].copy_from_slice(values);
        }
        start += width;
    }
    TensorData::new(joined, [n_rows, d_vocab])
}

fn floats(data: &TensorData) -> &[f32] {
    data.as_slice().expect("logits are read as f32")
}
