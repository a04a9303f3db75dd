//! Single rows of a residual stream read out: the most likely tokens ([`TopToken`]), and chosen ones
//! ([`TokenScore`]).

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use stratigraph_core::check_token_ids;
use stratigraph_kernels::softmax;

use super::batch::{ReadoutBatch, Stream};
use super::comparison::check_shape;
use super::full_rows::floats;
use super::reduction::Part;
use super::{Readout, RowSums, TopK};
use crate::lens::{Lens, LensRows};
use crate::metrics::check_top_k;
use crate::{ProbeError, Result};

/// How likely a token is at a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenScore {
    /// Its log-probability, in nats.
    pub log_prob: f64,
    /// Whether it is the most likely token, the lowest id on ties.
    pub is_top1: bool,
}

/// One of the most likely tokens at a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopToken {
    /// The token.
    pub id: u32,
    /// Its log-probability, in nats.
    pub log_prob: f64,
}

impl Readout<'_> {
    /// The most likely token of each row `[rows, d_model]` of a residual stream, the lowest id on ties.
    ///
    /// # Errors
    /// When the rows are not as wide as the model's residual stream.
    pub fn top1(&self, rows: Tensor<2>) -> Result<Vec<u32>> {
        let any_token = vec![0; rows.dims()[0]];
        Ok(self.alone(&rows, None, &any_token)?.into_iter().map(|row| row.top1 as u32).collect())
    }

    /// The most likely token of each row by a lens, the lowest id on ties.
    ///
    /// # Errors
    /// When the lens cannot read the rows, or they are not as wide as the model's residual stream.
    pub fn lens_top1(&self, lens: &dyn Lens, rows: LensRows) -> Result<Vec<u32>> {
        self.check_rows(&rows.resid)?;
        let any_token = vec![0; rows.resid.dims()[0]];
        let stream = Stream { model: self.model, normed: lens.normed(self.model, rows)? };
        let sums = self.reduce_alone(&any_token, |range| Ok(stream.rows(range)))?;
        Ok(sums.into_iter().map(|row| row.top1 as u32).collect())
    }

    /// The `k` most likely tokens of each row `[rows, d_model]` of a residual stream, the most likely first and the
    /// lower id first on ties. A NaN logit has a NaN log-probability.
    ///
    /// # Errors
    /// When `k` is 0 or more than the vocabulary has, or the rows are not as wide as the model's residual stream.
    pub fn top_k(&self, rows: Tensor<2>, k: usize) -> Result<Vec<Vec<TopToken>>> {
        self.check_rows(&rows)?;
        self.top_k_of(&self.stream(rows)?, k)
    }

    /// The `k` most likely tokens of each row by a lens, the most likely first and the lower id first on ties. At the last
    /// residual position they are those of [`top_k`](Readout::top_k).
    ///
    /// # Errors
    /// As [`top_k`](Readout::top_k); when the lens cannot read the rows.
    pub fn lens_top_k(&self, lens: &dyn Lens, rows: LensRows, k: usize) -> Result<Vec<Vec<TopToken>>> {
        self.check_rows(&rows.resid)?;
        self.top_k_of(&Stream { model: self.model, normed: lens.normed(self.model, rows)? }, k)
    }

    fn top_k_of(&self, stream: &Stream, k: usize) -> Result<Vec<Vec<TopToken>>> {
        check_top_k(k, self.model.d_vocab())?;
        let n_rows = stream.normed.dims()[0];
        let size = n_rows.div_ceil(self.pools.n_pools()).clamp(1, self.tiles.rows); // something for every pool
        let chunks = (0..n_rows).step_by(size).map(|start| start..(start + size).min(n_rows));
        let top = |chunk| self.top_k_of_chunk(&stream.rows(chunk), k);
        Ok(self.pools.map(chunks.collect(), top).into_iter().collect::<Result<Vec<_>>>()?.concat())
    }

    fn top_k_of_chunk(&self, stream: &Stream, k: usize) -> Result<Vec<Vec<TopToken>>> {
        let [n_rows, _] = stream.normed.dims();
        let d_vocab = self.model.d_vocab();
        let mut rows: Vec<(TopK, Option<RowSums>)> = vec![(TopK::new(k), None); n_rows];
        for start in (0..d_vocab).step_by(self.tiles.vocab) {
            let tokens = start..(start + self.tiles.vocab).min(d_vocab);
            let logits = stream.logits(&tokens)?.into_data_as::<f32>();
            for ((top, sums), logits) in rows.iter_mut().zip(floats(&logits).chunks(tokens.len())) {
                top.extend(start, logits);
                let part = RowSums::of(&Part::alone(softmax::sums(logits)), &tokens, 0);
                *sums = Some(sums.map_or(part, |sums| sums.with(&part)));
            }
        }
        let row = |(top, sums): (TopK, Option<RowSums>)| {
            let log_sum_exp = sums.map_or(f64::NAN, |sums| sums.log_sum_exp());
            let candidates = top.into_candidates().into_iter();
            let token = candidates.map(|c| TopToken { id: c.id as u32, log_prob: f64::from(c.logit) - log_sum_exp });
            token.collect()
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// The logits of chosen tokens at rows `[rows, d_model]` of a residual stream: for each row those of `tokens`, in their
    /// order. The rest of the vocabulary is not computed.
    ///
    /// # Errors
    /// When a token is outside the vocabulary, or the rows are not as wide as the model's residual stream.
    pub fn logits_of(&self, rows: Tensor<2>, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
        self.check_rows(&rows)?;
        check_token_ids(tokens, self.model.d_vocab())?;
        let mut logits = vec![Vec::with_capacity(tokens.len()); rows.dims()[0]];
        let stream = self.stream(rows)?;
        for &token in tokens {
            let token = token as usize;
            let column = stream.logits(&(token..token + 1))?.into_data_as::<f32>();
            logits.iter_mut().zip(floats(&column)).for_each(|(row, &logit)| row.push(logit));
        }
        Ok(logits)
    }

    /// The log-probabilities of chosen tokens at rows `[rows, d_model]` of a residual stream, in nats: for each row
    /// those of `tokens`, in their order. NaN stays NaN.
    ///
    /// # Errors
    /// As [`logits_of`](Readout::logits_of).
    pub fn log_probs(&self, rows: Tensor<2>, tokens: &[u32]) -> Result<Vec<Vec<f64>>> {
        let logits = self.logits_of(rows.clone(), tokens)?;
        let sums = self.alone(&rows, None, &vec![0; logits.len()])?;
        let row = |(logits, sums): (Vec<f32>, RowSums)| {
            let log_sum_exp = sums.log_sum_exp();
            logits.into_iter().map(|logit| f64::from(logit) - log_sum_exp).collect()
        };
        Ok(logits.into_iter().zip(sums).map(row).collect())
    }

    /// Scores one token at each of some rows of the residual stream `[batch, pos, d_model]`, counted through all its
    /// positions; only these rows are read out. NaN stays NaN.
    ///
    /// # Errors
    /// When there is no such row or token, not a token for each row, or the residual stream is not as wide as the model's.
    pub fn of_tokens(&self, resid: &Tensor<3>, rows: &[usize], tokens: &[u32]) -> Result<Vec<TokenScore>> {
        if rows.len() != tokens.len() {
            return Err(ProbeError::TokensMissing { n_tokens: tokens.len(), n_rows: rows.len() });
        }
        check_token_ids(tokens, self.model.d_vocab())?;
        let [batch, pos, d_model] = resid.dims();
        let n_rows = batch * pos;
        if let Some(&row) = rows.iter().find(|&&row| row >= n_rows) {
            return Err(ProbeError::NoSuchRow { row, n_rows });
        }
        let tokens: Vec<_> = tokens.iter().map(|&token| token as usize).collect();
        let sums = self.alone(&resid.clone().reshape([n_rows, d_model]), Some(rows), &tokens)?;
        let score =
            |(row, &token): (RowSums, &usize)| TokenScore { log_prob: row.log_prob(), is_top1: row.top1 == token };
        Ok(sums.into_iter().zip(&tokens).map(score).collect())
    }

    /// Reduces some rows of a residual stream, or all of them, with a token each.
    fn alone(&self, resid: &Tensor<2>, rows: Option<&[usize]>, tokens: &[usize]) -> Result<Vec<RowSums>> {
        self.check_rows(resid)?;
        self.reduce_alone(tokens, |range| match rows {
            Some(rows) => self.stream(resid.clone().select(0, indices(&rows[range], &resid.device()))),
            None => self.stream(resid.clone().slice([range])),
        })
    }

    /// Reduces the rows of a stream with a token each; `part` gives some of the rows, normed.
    fn reduce_alone<'s>(
        &'s self,
        tokens: &[usize],
        part: impl Fn(Range<usize>) -> Result<Stream<'s>>,
    ) -> Result<Vec<RowSums>> {
        let batches = (0..tokens.len()).step_by(self.tiles.rows).map(|start| {
            let range = start..(start + self.tiles.rows).min(tokens.len());
            let tokens = tokens[range.clone()].to_vec();
            Ok(ReadoutBatch { streams: vec![part(range)?], clean: None, tokens, common_device: None })
        });
        Ok(self.reduce(batches)?.into_iter().flat_map(|mut streams| streams.remove(0)).collect())
    }

    /// Rows of a residual stream, normed.
    fn stream(&self, rows: Tensor<2>) -> Result<Stream<'_>> {
        Ok(Stream { model: self.model, normed: self.model.final_norm(rows)? })
    }

    /// Refuses rows that are not the model's, and tiles that hold nothing.
    fn check_rows(&self, rows: &Tensor<2>) -> Result<()> {
        self.check_tiles()?;
        let [n_rows, width] = rows.dims();
        check_shape(|| "the tensor of rows".to_owned(), [n_rows, width], [n_rows, self.model.d_model()])
    }
}

/// Places of rows, as a tensor.
pub(crate) fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| i32::try_from(row).expect("a row fits 31 bits")).collect();
    let n = rows.len();
    Tensor::from_data(TensorData::new(rows, [n]), device)
}
