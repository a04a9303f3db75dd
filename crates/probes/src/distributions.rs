//! Next-token distributions of a tile of rows, wherever they are computed: [`Distributions`] and [`Reduction`].

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use stratigraph_core::{ResidualModel, lies_in_host_memory};

/// Where logits are reduced to scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// In the host's memory, by one vectorised pass over each row; for CPU backends, whose tensors lie there already.
    Host,
    /// On the device, by tensor operations.
    Device,
}

impl Reduction {
    /// What suits a device: the host for flex and ndarray, the device itself for any other.
    pub fn suited_to(device: &Device) -> Self {
        if lies_in_host_memory(device) { Reduction::Host } else { Reduction::Device }
    }
}

/// The next-token distributions of some rows.
pub(crate) trait Distributions: Sized {
    /// Normalises logits of some rows: chunks `[rows, chunk]` of the vocabulary, in order.
    fn normalise(logits: Vec<Tensor<2>>, ranges: Vec<Range<usize>>) -> Self;

    /// The most likely token of each row, the lowest id on ties.
    fn top1(&self) -> Vec<usize>;

    /// The Kullback-Leibler divergence of `other` from this one, in nats, for each row.
    fn kl(&self, other: &Self) -> Vec<f64>;

    /// The entropy of each row, in bits.
    fn entropy_bits(&self) -> Vec<f64>;

    /// The log-probability of one token in each row.
    fn of_tokens(&self, tokens: &[usize]) -> Vec<f64>;

    /// Reads residual rows `[rows, d_model]` out, `vocab_chunk` tokens at a time.
    fn read(model: &dyn ResidualModel, rows: Tensor<2>, vocab_chunk: usize) -> Self {
        let d_vocab = model.d_vocab();
        let normed = model.final_norm(rows);
        let starts = (0..d_vocab).step_by(vocab_chunk);
        let ranges: Vec<_> = starts.map(|start| start..(start + vocab_chunk).min(d_vocab)).collect();
        let logits = ranges.iter().map(|range| model.unembed(normed.clone(), range.clone())).collect();
        Self::normalise(logits, ranges)
    }
}

/// A float tensor as numbers in row-major order; on CPU backends this takes the tensor's memory over.
pub(crate) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().expect("a float tensor reads as f32")
}
