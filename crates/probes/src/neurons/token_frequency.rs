//! Neurons that raise or lower tokens by how frequent they are: [`log_frequencies`], [`token_frequency_cosines`].

use rayon::prelude::*;
use stratigraph_core::{ResidualModel, check_token_ids};

use super::gram::{Gram, weighted_columns};
use super::{dot, weights_of};
use crate::{ProbeError, Result};

/// The log frequency of each token of a vocabulary, `log((count + 1) / (n + d_vocab))` in nats, where `count` is how often the
/// token occurs among the `n` tokens of a corpus.
///
/// # Errors
/// When a token is outside the vocabulary.
///
/// ```
/// use stratigraph_probes::neurons::log_frequencies;
/// let found = log_frequencies(&[0, 0, 2], 4)?; // 3, 1, 2 and 1 of 7
/// assert!((found[0] - (3f64 / 7.0).ln()).abs() < 1e-12 && found[1] == found[3]);
/// # Ok::<(), stratigraph_probes::ProbeError>(())
/// ```
pub fn log_frequencies(ids: &[u32], d_vocab: usize) -> Result<Vec<f64>> {
    check_token_ids(ids, d_vocab)?;
    let mut counts = vec![1.0f64; d_vocab];
    ids.iter().for_each(|&id| counts[id as usize] += 1.0);
    let total = (ids.len() + d_vocab) as f64;
    Ok(counts.into_iter().map(|count| (count / total).ln()).collect())
}

/// The cosine of what each neuron of a layer adds to the logits with the log frequency of the tokens, both centred over the
/// vocabulary, after Stolfo et al. (arXiv 2406.16254); NaN for a neuron that moves no logit.
///
/// A neuron with output weights `w` adds `W_U^T w` times its activation to the logits, apart from what the final norm's scale
/// does. The cosine is the correlation of that with [`log_frequencies`] over all tokens: a neuron with a positive one moves
/// the prediction towards the unigram distribution when it is active, and one with a negative one away from it.
///
/// # Errors
/// When the model does not give access to its weights, there is no such layer, or there is not a frequency for each token.
pub fn token_frequency_cosines(model: &dyn ResidualModel, layer: usize, log_frequencies: &[f64]) -> Result<Vec<f64>> {
    cosines(&Gram::new(model)?, model, layer, log_frequencies)
}

/// The same from the products of the unembedding, where they are there already.
pub(super) fn cosines(
    gram: &Gram,
    model: &dyn ResidualModel,
    layer: usize,
    log_frequencies: &[f64],
) -> Result<Vec<f64>> {
    if log_frequencies.len() != model.d_vocab() {
        let (found, expected) = (vec![log_frequencies.len()], vec![model.d_vocab()]);
        return Err(ProbeError::WrongShape { what: "the log frequencies".to_owned(), found, expected });
    }
    let mean = log_frequencies.iter().sum::<f64>() / log_frequencies.len() as f64;
    let centred: Vec<f64> = log_frequencies.iter().map(|x| x - mean).collect();
    let (direction, length) = (weighted_columns(model, &centred)?, dot(&centred, &centred).sqrt());
    let rows: Vec<f32> = weights_of(model)?.w_out(layer)?.try_into_vec_as().expect("any float");
    let cosine = |row: &[f32]| {
        let row: Vec<f64> = row.iter().copied().map(f64::from).collect();
        dot(&row, &direction) / gram.squared_length(&row).max(0.0).sqrt() / length
    };
    Ok(rows.par_chunks(gram.d_model).map(cosine).collect())
}
