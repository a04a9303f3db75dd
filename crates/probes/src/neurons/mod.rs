//! What each MLP neuron writes, in terms of the vocabulary: [`vocabulary_profiles`], and the [`NeuronProfile`] of one; sets of
//! such neurons, [`neuron_classes`].

mod eigen;
mod gram;
mod matched;
mod null_space;
mod sets;
mod token_class;
mod token_frequency;
mod token_histogram;

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use stratigraph_core::{ModelWeights, ResidualModel, WorkerPools, is_host_device};
use stratigraph_kernels::power_sums;

pub(crate) use eigen::{dot, symmetric_eigenvalues};
pub use matched::MatchedSets;
pub use null_space::NullSpace;
pub use sets::{LayerNeurons, NeuronClass, NeuronSet, neuron_classes, output_norms};
pub use token_class::{TokenClass, class_association};
pub use token_frequency::{log_frequencies, token_frequency_cosines};
pub use token_histogram::{NeuronIndex, TokenHistogram, TokenHistograms};

use crate::{ProbeError, Result};

/// Moments, over the vocabulary, of the cosine of a neuron's output weights with each token's unembedding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NeuronProfile {
    /// The mean.
    pub mean: f64,
    /// The population variance.
    pub variance: f64,
    /// The third standardised moment.
    pub skew: f64,
    /// The fourth standardised moment: 3 for normal cosines, large when few tokens stand out.
    pub kurtosis: f64,
}

impl NeuronProfile {
    /// The kurtosis above which a neuron's effect is on few tokens (the paper's threshold).
    pub const FEW_TOKENS: f64 = 10.0;

    /// Whether the neuron promotes few tokens over all others.
    pub fn is_prediction(&self) -> bool {
        self.kurtosis > Self::FEW_TOKENS && self.skew > 0.0
    }

    /// Whether the neuron suppresses few tokens.
    pub fn is_suppression(&self) -> bool {
        self.kurtosis > Self::FEW_TOKENS && self.skew < 0.0
    }
}

/// Sums of powers, which merge.
#[derive(Debug, Clone, Copy, Default)]
struct PowerSums {
    n: f64,
    sums: [f64; 4],
}

impl PowerSums {
    fn add(&mut self, values: &[f32]) {
        self.join(&PowerSums { n: values.len() as f64, sums: power_sums(values) });
    }

    fn join(&mut self, other: &PowerSums) {
        self.n += other.n;
        self.sums.iter_mut().zip(other.sums).for_each(|(sum, part)| *sum += part);
    }

    fn profile(&self) -> NeuronProfile {
        let [m1, m2, m3, m4] = self.sums.map(|sum| sum / self.n);
        let variance = m2 - m1 * m1;
        let third = m3 - 3.0 * m1 * m2 + 2.0 * m1.powi(3);
        let fourth = m4 - 4.0 * m1 * m3 + 6.0 * m1 * m1 * m2 - 3.0 * m1.powi(4);
        NeuronProfile { mean: m1, variance, skew: third / variance.powf(1.5), kurtosis: fourth / (variance * variance) }
    }
}

/// Neurons whose cosines are held at once.
const NEURONS: usize = 512;

/// Tokens of a tile of cosines on a CPU, which its caches hold for every core: 2 MiB.
const TILE: usize = 1024;

/// The unembedding as neurons are compared with it, cut into ranges of the vocabulary.
///
/// The final norm's gain is folded in; the mean over the vocabulary is subtracted, since a shift that all tokens share
/// changes no probability. For models whose norm subtracts the mean over `d_model`, that mean is subtracted too.
pub struct VocabularyDirections {
    /// Unit columns `[d_model, tokens]`.
    chunks: Vec<Tensor<2>>,
    subtracts_mean: bool,
}

/// The weights of a model.
///
/// # Errors
/// [`ProbeError::WeightsMissing`] when it does not give access to them.
pub(crate) fn weights_of(model: &dyn ResidualModel) -> Result<&dyn ModelWeights> {
    model.weights().ok_or(ProbeError::WeightsMissing)
}

impl VocabularyDirections {
    /// The directions of a model's tokens, in tensors of up to 128 MiB.
    ///
    /// # Errors
    /// [`ProbeError::WeightsMissing`] when the model does not give access to its weights; [`ProbeError::WeightsTooLarge`].
    pub fn new(model: &dyn ResidualModel) -> Result<Self> {
        const CHUNK_BYTES: usize = 128 << 20;
        Self::with_chunk(model, CHUNK_BYTES / size_of::<f32>() / model.d_model().max(NEURONS))
    }

    /// The directions of a model's tokens, at most `chunk` of them in a tensor.
    ///
    /// # Errors
    /// As [`new`](VocabularyDirections::new).
    pub fn with_chunk(model: &dyn ResidualModel, chunk: usize) -> Result<Self> {
        let (weights, d_vocab) = (weights_of(model)?, model.d_vocab());
        let ranges = || (0..d_vocab).step_by(chunk.max(1)).map(move |start| start..(start + chunk.max(1)).min(d_vocab));
        let subtracts_mean = weights.final_norm_is_centered();
        let columns = |range: Range<usize>| -> Result<Tensor<2>> {
            let weight = weights.w_u(range)?;
            Ok(if subtracts_mean { weight.clone() - weight.mean_dim(0) } else { weight })
        };
        let sums = ranges().map(|range| -> Result<Tensor<2>> { Ok(columns(range)?.sum_dim(1)) });
        let sum = sums.reduce(|a, b| Ok(a? + b?));
        let mean = sum.expect("a vocabulary is not empty")? / d_vocab as f64;
        let unit = |range: Range<usize>| {
            let centred = columns(range)? - mean.clone();
            let squares = centred.clone().square().sum_dim(0);
            check_squares(&squares, || "the unembedding".to_owned())?;
            Ok(centred / squares.sqrt())
        };
        Ok(Self { chunks: ranges().map(unit).collect::<Result<_>>()?, subtracts_mean })
    }

    /// The covariance of the tokens' directions, which gives the variance of any neuron's cosines without computing them.
    pub(crate) fn spread(&self) -> Spread {
        let n_tokens: usize = self.chunks.iter().map(|tokens| tokens.dims()[1]).sum();
        let products = self.chunks.iter().map(|tokens| tokens.clone().matmul(tokens.clone().transpose()));
        let sums = self.chunks.iter().map(|tokens| tokens.clone().sum_dim(1));
        let mean = |parts: Option<Tensor<2>>| parts.expect("a vocabulary is not empty") / n_tokens as f64;
        let (square, mean) = (mean(products.reduce(|a, b| a + b)), mean(sums.reduce(|a, b| a + b)));
        let covariance = square - mean.clone().matmul(mean.transpose());
        Spread { covariance, subtracts_mean: self.subtracts_mean }
    }

    /// Unit columns `[d_model, tokens]`, chunk after chunk.
    pub(crate) fn chunks(&self) -> &[Tensor<2>] {
        &self.chunks
    }

    /// The cosine of each row of `w_out` `[neuron, d_model]` with each token, `[neuron, tokens]` a chunk.
    fn cosines(&self, w_out: Tensor<2>) -> impl Iterator<Item = Tensor<2>> + '_ {
        let unit = unit_rows(w_out, self.subtracts_mean);
        self.chunks.iter().map(move |tokens| unit.clone().matmul(tokens.clone()))
    }

    /// The cosine of one neuron's output weights, `[1, d_model]`, with every token.
    pub fn cosines_of(&self, w_out: Tensor<2>) -> Vec<f32> {
        self.cosines(w_out).flat_map(|part| part.try_into_vec_as::<f32>().expect("any float")).collect()
    }

    /// The profile of each row of `w_out` `[neuron, d_model]`.
    ///
    /// A neuron whose weights are all zero has none: its numbers are NaN.
    pub fn profiles(&self, w_out: Tensor<2>) -> Vec<NeuronProfile> {
        let ([n_neurons, _], device) = (w_out.dims(), w_out.device());
        let unit = unit_rows(w_out, self.subtracts_mean);
        let slabs: Vec<_> =
            (0..n_neurons).step_by(NEURONS).map(|start| start..(start + NEURONS).min(n_neurons)).collect();
        let sums_of = |tokens: Tensor<2>| {
            let mut sums = vec![PowerSums::default(); n_neurons];
            for neurons in &slabs {
                let cosines = unit.clone().slice([neurons.clone()]).matmul(tokens.clone());
                let [_, width] = cosines.dims();
                let values: Vec<f32> = cosines.try_into_vec_as().expect("any float");
                sums[neurons.clone()].iter_mut().zip(values.chunks(width)).for_each(|(sums, values)| sums.add(values));
            }
            sums
        };
        let parts = WorkerPools::for_device(&device, usize::MAX).map(self.tiles(&device), sums_of);
        let mut sums = vec![PowerSums::default(); n_neurons];
        parts.iter().for_each(|part| sums.iter_mut().zip(part).for_each(|(sums, part)| sums.join(part)));
        sums.iter().map(PowerSums::profile).collect()
    }

    /// Parts of the vocabulary that one product takes: on a CPU few enough tokens that their cosines stay in its caches.
    fn tiles(&self, device: &Device) -> Vec<Tensor<2>> {
        let size = if is_host_device(device) { TILE } else { usize::MAX };
        let of_chunk = |chunk: &Tensor<2>| {
            let [_, tokens] = chunk.dims();
            let starts = (0..tokens).step_by(size);
            starts.map(|start| chunk.clone().narrow(1, start, size.min(tokens - start))).collect::<Vec<_>>()
        };
        self.chunks.iter().flat_map(of_chunk).collect()
    }
}

/// The covariance of the tokens' directions over the vocabulary, `[d_model, d_model]`.
pub(crate) struct Spread {
    covariance: Tensor<2>,
    subtracts_mean: bool,
}

impl Spread {
    /// The population variance, over the vocabulary, of the cosines of each row of `w_out` `[neuron, d_model]`.
    pub(crate) fn variances(&self, w_out: Tensor<2>) -> Vec<f64> {
        let unit = unit_rows(w_out, self.subtracts_mean);
        let variances = (unit.clone().matmul(self.covariance.clone()) * unit).sum_dim(1);
        let variances: Vec<f32> = variances.try_into_vec_as().expect("any float");
        variances.into_iter().map(f64::from).collect()
    }
}

/// Rows `[neuron, d_model]` of length 1, their mean subtracted where the final norm does so.
pub(crate) fn unit_rows(w_out: Tensor<2>, subtracts_mean: bool) -> Tensor<2> {
    let w_out = if subtracts_mean { w_out.clone() - w_out.mean_dim(1) } else { w_out };
    w_out.clone() / w_out.square().sum_dim(1).sqrt()
}

/// Refuses weights whose squared lengths are too large for f32: they would seem to be zero when they are divided by them.
fn check_squares(squares: &Tensor<2>, what: impl FnOnce() -> String) -> Result<()> {
    let squares: Vec<f32> = squares.clone().try_into_vec_as().expect("any float");
    if squares.iter().all(|x| x.is_finite()) { Ok(()) } else { Err(ProbeError::WeightsTooLarge { what: what() }) }
}

/// The profile of every neuron of every layer, `[layer][neuron]`; `done` is called with the number of layers that are done.
///
/// # Errors
/// [`ProbeError::WeightsMissing`] when the model does not give access to its weights; [`ProbeError::WeightsTooLarge`].
pub fn vocabulary_profiles(model: &dyn ResidualModel, mut done: impl FnMut(usize)) -> Result<Vec<Vec<NeuronProfile>>> {
    let (directions, weights) = (VocabularyDirections::new(model)?, weights_of(model)?);
    let layer = |layer: usize| {
        let w_out = weights.w_out(layer)?;
        check_squares(&w_out.clone().square().sum_dim(1), || format!("the output weights of layer {layer}'s MLP"))?;
        let profiles = directions.profiles(w_out);
        done(layer + 1);
        Ok(profiles)
    };
    (0..model.n_layers()).map(layer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_known_distributions() {
        let n = 100_001;
        let mut even = PowerSums::default();
        even.add(&(0..n).map(|i| i as f32 / (n - 1) as f32).collect::<Vec<_>>());
        let profile = even.profile();
        // Of the uniform distribution on [0, 1].
        for (found, expected) in
            [(profile.mean, 0.5), (profile.variance, 1.0 / 12.0), (profile.skew, 0.0), (profile.kurtosis, 1.8)]
        {
            assert!((found - expected).abs() < 1e-4, "{profile:?}");
        }
        // One that stands out among n: skew and kurtosis of a Bernoulli variable with p = 1 / n.
        let mut one = PowerSums::default();
        one.add(&[0.0; 99]);
        one.add(&[1.0]);
        let (p, profile) = (0.01f64, one.profile());
        assert!((profile.skew - (1.0 - 2.0 * p) / (p * (1.0 - p)).sqrt()).abs() < 1e-9);
        assert!((profile.kurtosis - (3.0 + (1.0 - 6.0 * p * (1.0 - p)) / (p * (1.0 - p)))).abs() < 1e-9);
        assert!(profile.is_prediction() && !profile.is_suppression());
    }
}
