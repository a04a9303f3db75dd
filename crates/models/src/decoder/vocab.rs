//! A matrix over the vocabulary, kept in chunks of rows that each fit a device's largest buffer: [`VocabMatrix`].

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::few_rows;
use super::half_weights::HalfWeights;

/// `[d_vocab, d_model]`: the embedding `W_E`, or the transpose of the unembedding `W_U`.
#[derive(Module, Debug)]
pub(super) struct VocabMatrix {
    /// Chunk `i` holds rows `i * rows_per_chunk ..`.
    chunks: Vec<Param<Tensor<2>>>,
    rows_per_chunk: usize,
    d_vocab: usize,
    /// The transpose in 16 bit, where it is held so; there are no chunks then.
    #[module(skip)]
    half: Option<HalfWeights>,
}

impl VocabMatrix {
    /// Chunks of at most `rows_per_chunk` rows, whose values `read` gives in row-major order.
    pub(super) fn build<E>(
        [d_vocab, d_model]: [usize; 2],
        rows_per_chunk: usize,
        device: &Device,
        mut read: impl FnMut(Range<usize>) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let chunk = |start: usize| {
            let rows = start..(start + rows_per_chunk).min(d_vocab);
            let shape = [rows.len(), d_model];
            Ok(Param::from_tensor(Tensor::from_data(TensorData::new(read(rows)?, shape), device)))
        };
        let chunks = (0..d_vocab).step_by(rows_per_chunk).map(chunk).collect::<Result<_, E>>()?;
        Ok(Self { chunks, rows_per_chunk, d_vocab, half: None })
    }

    /// Of weights in 16 bit, `[d_model, d_vocab]`.
    pub(super) fn half(weights: HalfWeights) -> Self {
        let [_, d_vocab] = weights.dims();
        Self { chunks: Vec::new(), rows_per_chunk: d_vocab, d_vocab, half: Some(weights) }
    }

    /// Where the matrix is.
    pub(super) fn device(&self) -> Device {
        self.half.as_ref().map_or_else(|| self.chunks[0].device(), HalfWeights::device)
    }

    /// Bytes of the weights in 16 bit.
    pub(super) fn n_half_bytes(&self) -> usize {
        self.half.as_ref().map_or(0, HalfWeights::n_bytes)
    }

    /// The shape `[d_vocab, d_model]` and the values in row-major order.
    pub(super) fn values(&self) -> ([usize; 2], Vec<f32>) {
        if let Some(half) = &self.half {
            let [d_model, d_vocab] = half.dims();
            return ([d_vocab, d_model], half.column_values(0..d_vocab));
        }
        let part = |chunk: &Param<Tensor<2>>| chunk.val().try_into_vec_as::<f32>().expect("any float");
        let values: Vec<f32> = self.chunks.iter().flat_map(part).collect();
        ([self.d_vocab, values.len() / self.d_vocab], values)
    }

    /// The rows of `ids` `[batch, pos]`, as `[batch, pos, d_model]`.
    pub(super) fn rows(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, pos] = ids.dims();
        let ids: Tensor<1, Int> = ids.reshape([batch * pos]);
        let rows = match self.chunks.as_slice() {
            [] => self.half_rows(ids),
            [whole] => whole.val().select(0, ids),
            chunks => {
                (0..chunks.len()).map(|index| self.rows_of_chunk(index, ids.clone())).reduce(|a, b| a + b).unwrap()
            }
        };
        let [_, d_model] = rows.dims();
        rows.reshape([batch, pos, d_model])
    }

    /// The rows of `ids` `[n]`, of a matrix in 16 bit.
    fn half_rows(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        let ids: Vec<i64> = ids.try_into_vec_as().expect("token ids are whole numbers");
        self.of_half(ids.into_iter().map(|id| usize::try_from(id).expect("token ids have been checked")))
    }

    /// The rows of some tokens, of a matrix in 16 bit.
    fn of_half(&self, tokens: impl Iterator<Item = usize>) -> Tensor<2> {
        let half = self.half.as_ref().expect("a matrix has chunks or 16 bit");
        let ([d_model, _], values) = (half.dims(), half.column_values(tokens));
        let n = values.len() / d_model;
        Tensor::from_data(TensorData::new(values, [n, d_model]), &half.device())
    }

    /// The rows of those `ids` `[n]` that lie in one chunk; zeros for the others.
    fn rows_of_chunk(&self, index: usize, ids: Tensor<1, Int>) -> Tensor<2> {
        let chunk = self.chunks[index].val();
        let [n_rows, _] = chunk.dims();
        let local = ids - (index * self.rows_per_chunk) as i64;
        let outside = local.clone().lower_elem(0).bool_or(local.clone().greater_equal_elem(n_rows as i64));
        let rows = chunk.select(0, local.clamp(0, n_rows as i64 - 1));
        let dims = rows.dims();
        rows.mask_fill(outside.unsqueeze_dim::<2>(1).expand(dims), 0.0)
    }

    /// `rows` `[n, d_model]` times the transposed vocabulary rows of `vocab`, as `[n, vocab.len()]`.
    ///
    /// # Panics
    /// When the range is empty or ends past the vocabulary.
    pub(super) fn logits(&self, rows: Tensor<2>, vocab: Range<usize>) -> Tensor<2> {
        if let Some(half) = &self.half {
            return half.product(rows, vocab);
        }
        let product = |part: Tensor<2>| match few_rows::are_few(&rows) {
            true => few_rows::by_columns(&rows, part),
            false => rows.clone().matmul(part.transpose()),
        };
        joined(self.parts(vocab).map(product).collect(), 1)
    }

    /// The rows of the tokens `vocab`, `[vocab.len(), d_model]`.
    ///
    /// # Panics
    /// When the range is empty or ends past the vocabulary.
    pub(super) fn of_tokens(&self, vocab: Range<usize>) -> Tensor<2> {
        match &self.half {
            Some(_) => self.of_half(vocab),
            None => joined(self.parts(vocab).collect(), 0),
        }
    }

    /// Those parts of the chunks that hold the rows of `vocab`, in order.
    fn parts(&self, vocab: Range<usize>) -> impl Iterator<Item = Tensor<2>> + '_ {
        assert!(vocab.start < vocab.end && vocab.end <= self.d_vocab, "vocabulary range {vocab:?} of {}", self.d_vocab);
        let first = vocab.start / self.rows_per_chunk;
        let last = (vocab.end - 1) / self.rows_per_chunk;
        (first..=last).map(move |index| {
            let start = index * self.rows_per_chunk;
            let chunk = self.chunks[index].val();
            let [n_rows, _] = chunk.dims();
            let range = vocab.start.max(start) - start..vocab.end.min(start + n_rows) - start;
            if range == (0..n_rows) { chunk } else { chunk.slice([range]) }
        })
    }
}

fn joined(mut parts: Vec<Tensor<2>>, axis: usize) -> Tensor<2> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, axis) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows_per_chunk: usize, device: &Device) -> VocabMatrix {
        let values = |rows: Range<usize>| (rows.start * 3..rows.end * 3).map(|i| (i as f32 * 0.7).sin()).collect();
        VocabMatrix::build([7, 3], rows_per_chunk, device, |rows| Ok::<_, ()>(values(rows))).unwrap()
    }

    #[test]
    fn chunks_change_nothing() {
        let device = Device::flex();
        let ids = Tensor::<2, Int>::from_data([[0, 6, 2], [3, 3, 5]], &device);
        let rows = Tensor::<2>::from_data([[1.0, -2.0, 0.5], [0.1, 0.2, 0.3]], &device);
        let whole = matrix(100, &device);
        for rows_per_chunk in 1..8 {
            let chunked = matrix(rows_per_chunk, &device);
            chunked.rows(ids.clone()).into_data().assert_eq(&whole.rows(ids.clone()).into_data(), true);
            for vocab in [0..7, 0..1, 6..7, 2..5] {
                let expected = whole.logits(rows.clone(), vocab.clone()).into_data();
                chunked.logits(rows.clone(), vocab).into_data().assert_eq(&expected, true);
            }
        }
    }
}
