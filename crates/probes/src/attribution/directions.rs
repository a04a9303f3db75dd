//! The directions that raise the logit of a token over the mean logit, [`TokenDirections`], and what biases add to each
//! logit, [`bias_logits`].

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use stratigraph_core::{ModelWeights, ResidualModel, Result as CoreResult};

use crate::Result;
use crate::neurons::weights_of;
use crate::readout::indices;

/// Bytes of the unembedding that are read at once.
const CHUNK_BYTES: usize = 16 << 20;

/// Columns of the unembedding with the final norm's gain folded in, minus their mean over the vocabulary; for models whose
/// final norm subtracts the mean over `d_model`, so is that.
pub(super) struct TokenDirections<'a> {
    weights: &'a dyn ModelWeights,
    /// Tokens whose columns are read at once.
    chunk: usize,
    /// Over the vocabulary, `[1, d_model]`.
    mean: Tensor<2>,
}

impl<'a> TokenDirections<'a> {
    /// The directions of a model's tokens; only their mean is held.
    pub(super) fn new(model: &'a dyn ResidualModel) -> Result<Self> {
        Self::with_chunk(model, (CHUNK_BYTES / size_of::<f32>() / model.d_model().max(1)).max(1))
    }

    pub(super) fn with_chunk(model: &'a dyn ResidualModel, chunk: usize) -> Result<Self> {
        let (weights, d_model, d_vocab) = (weights_of(model)?, model.d_model(), model.d_vocab());
        let mut sum = vec![0.0f64; d_model];
        for tokens in ranges(d_vocab, chunk) {
            let part = weights.w_u(tokens)?.sum_dim(1).try_into_vec_as::<f32>().expect("any float");
            sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += f64::from(x));
        }
        let mean: Vec<f32> = sum.iter().map(|sum| (sum / d_vocab as f64) as f32).collect();
        let mean = Tensor::from_data(TensorData::new(mean, [1, d_model]), &model.device());
        Ok(Self { weights, chunk, mean })
    }

    /// The direction of each of some tokens, `[tokens, d_model]`.
    pub(super) fn of(&self, tokens: &[u32], device: &Device) -> CoreResult<Tensor<2>> {
        let mut distinct: Vec<usize> = tokens.iter().map(|&token| token as usize).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let parts = distinct.chunk_by(|a, b| a / self.chunk == b / self.chunk).map(|some| self.columns(some, device));
        let directions = Tensor::cat(parts.collect::<CoreResult<_>>()?, 0) - self.mean.clone();
        let directions = match self.weights.final_norm_is_centered() {
            true => directions.clone() - directions.mean_dim(1),
            false => directions,
        };
        let place = |token: &u32| distinct.binary_search(&(*token as usize)).expect("each token is among them");
        Ok(directions.select(0, indices(&tokens.iter().map(place).collect::<Vec<_>>(), device)))
    }

    /// The columns of tokens in rising order, as rows `[tokens, d_model]`.
    fn columns(&self, tokens: &[usize], device: &Device) -> CoreResult<Tensor<2>> {
        let (first, last) = (tokens[0], tokens[tokens.len() - 1]);
        let columns = self.weights.w_u(first..last + 1)?;
        let places: Vec<_> = tokens.iter().map(|token| token - first).collect();
        Ok(columns.transpose().select(0, indices(&places, device)))
    }
}

/// The bias of the final norm, `[1, d_model]`; zeros where it has none.
pub(super) fn final_bias_row(model: &dyn ResidualModel) -> Result<Tensor<2>> {
    let d_model = model.d_model();
    // A norm without its bias turns opposite rows into opposite rows.
    let row = Tensor::<1, Int>::arange(1..d_model as i64 + 1, &model.device()).float().reshape([1, d_model]);
    Ok((model.final_norm(row.clone())? + model.final_norm(-row)?) / 2.0)
}

/// What the bias of the final norm and that of the unembedding add to the logit of each token, minus the mean over the
/// vocabulary.
pub(super) fn bias_logits(model: &dyn ResidualModel) -> Result<Vec<f64>> {
    let (d_vocab, bias) = (model.d_vocab(), final_bias_row(model)?);
    let mut logits = Vec::with_capacity(d_vocab);
    for tokens in ranges(d_vocab, CHUNK_BYTES / size_of::<f32>()) {
        let part = model.unembed(bias.clone(), tokens)?.try_into_vec_as::<f32>().expect("any float");
        logits.extend(part.into_iter().map(f64::from));
    }
    let mean = logits.iter().sum::<f64>() / d_vocab as f64;
    logits.iter_mut().for_each(|logit| *logit -= mean);
    Ok(logits)
}

fn ranges(d_vocab: usize, chunk: usize) -> impl Iterator<Item = Range<usize>> {
    (0..d_vocab).step_by(chunk).map(move |start| start..(start + chunk).min(d_vocab))
}
