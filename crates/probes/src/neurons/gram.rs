//! Products of the unembedding in f64: its [`Gram`] matrix, and [`weighted_columns`].

use std::ops::Range;

use rayon::prelude::*;
use stratigraph_core::{ModelWeights, ResidualModel};

use super::{dot, weights_of};
use crate::Result;

/// `W W^T` of the unembedding, into which the final norm's gain is folded and which is centred over the vocabulary (what all
/// tokens share changes no probability), and over `d_model` where the norm subtracts that mean; in f64, since small
/// eigenvalues are looked for.
pub(super) struct Gram {
    /// `[d_model, d_model]`.
    pub(super) entries: Vec<f64>,
    pub(super) d_model: usize,
    /// Whether the final norm subtracts the mean over `d_model`.
    pub(super) subtracts_mean: bool,
}

impl Gram {
    pub(super) fn new(model: &dyn ResidualModel) -> Result<Self> {
        let (weights, d_model, d_vocab) = (weights_of(model)?, model.d_model(), model.d_vocab());
        let mut products = vec![0.0f64; d_model * d_model];
        let mut sums = vec![0.0f64; d_model];
        for tokens in chunks(d_model, d_vocab) {
            let chunk = Chunk::read(weights, tokens)?;
            products.par_chunks_mut(d_model).enumerate().for_each(|(i, products)| {
                products[..=i].iter_mut().enumerate().for_each(|(j, it)| *it += dot(chunk.row(i), chunk.row(j)));
            });
            sums.iter_mut().enumerate().for_each(|(i, sum)| *sum += chunk.row(i).iter().sum::<f64>());
        }
        for i in 0..d_model {
            for j in 0..=i {
                let centred = products[i * d_model + j] - sums[i] * sums[j] / d_vocab as f64;
                products[i * d_model + j] = centred;
                products[j * d_model + i] = centred;
            }
        }
        Ok(Self { entries: products, d_model, subtracts_mean: weights.final_norm_is_centered() })
    }

    /// The squared length, over the centred vocabulary, of what a vector of the residual stream adds to the logits.
    pub(super) fn squared_length(&self, vector: &[f64]) -> f64 {
        let products = self.entries.chunks(self.d_model).map(|row| dot(row, vector));
        products.zip(vector).map(|(product, x)| product * x).sum()
    }
}

/// The sum of the columns of the unembedding, each times the weight of its token: `[d_model]`. Weights that add up to 0 see
/// the centred unembedding.
pub(super) fn weighted_columns(model: &dyn ResidualModel, token_weights: &[f64]) -> Result<Vec<f64>> {
    let (weights, d_model) = (weights_of(model)?, model.d_model());
    let mut sum = vec![0.0; d_model];
    for tokens in chunks(d_model, token_weights.len()) {
        let chunk = Chunk::read(weights, tokens.clone())?;
        let weight = &token_weights[tokens];
        sum.par_iter_mut().enumerate().for_each(|(i, sum)| *sum += dot(chunk.row(i), weight));
    }
    Ok(sum)
}

/// Some columns of the unembedding, centred over `d_model` where the final norm does so.
struct Chunk {
    /// `[d_model, n_tokens]`.
    values: Vec<f64>,
    n_tokens: usize,
}

impl Chunk {
    fn read(weights: &dyn ModelWeights, tokens: Range<usize>) -> Result<Self> {
        let n_tokens = tokens.len();
        let weight = weights.w_u(tokens)?;
        let weight = if weights.final_norm_is_centered() { weight.clone() - weight.mean_dim(0) } else { weight };
        let values: Vec<f32> = weight.try_into_vec_as().expect("any float");
        Ok(Self { values: values.into_iter().map(f64::from).collect(), n_tokens })
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.n_tokens..(i + 1) * self.n_tokens]
    }
}

/// Ranges of the vocabulary whose columns take about 16 MiB.
fn chunks(d_model: usize, d_vocab: usize) -> impl Iterator<Item = Range<usize>> {
    const CHUNK_BYTES: usize = 16 << 20;
    let chunk = (CHUNK_BYTES / size_of::<f64>() / d_model.max(1)).max(1);
    (0..d_vocab).step_by(chunk).map(move |start| start..(start + chunk).min(d_vocab))
}
