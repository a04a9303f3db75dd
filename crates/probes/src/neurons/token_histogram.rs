//! How many tokens have which cosine with a neuron: [`TokenHistograms`].

use burn::tensor::{Int, Tensor};
use stratigraph_core::ResidualModel;

use super::{VocabularyDirections, weights_of};
use crate::{ProbeError, Result};

/// A neuron of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeuronIndex {
    /// Its layer.
    pub layer: usize,
    /// Its index in the layer.
    pub neuron: usize,
}

/// How many tokens have which cosine with the output weights of one neuron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHistogram {
    /// The neuron.
    pub of: NeuronIndex,
    /// Tokens of the class, in each bin.
    pub inside: Vec<u64>,
    /// All other tokens, in each bin.
    pub outside: Vec<u64>,
}

/// Histograms of several neurons with bins of one width between the smallest and the largest cosine of all.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenHistograms {
    /// Where the first bin begins.
    pub first: f64,
    /// The width of a bin.
    pub width: f64,
    /// A histogram for each neuron, in their order.
    pub neurons: Vec<TokenHistogram>,
}

impl TokenHistograms {
    /// Of these neurons with `n_bins` bins. `belongs` says of each token whether it is in the class; tokens beyond its end are not.
    ///
    /// # Errors
    /// When the model does not give access to its weights, has no such layer or neuron, the weights of one are all
    /// zero or not finite, or no bin or neuron is asked for.
    pub fn new(model: &dyn ResidualModel, neurons: &[NeuronIndex], belongs: &[bool], n_bins: usize) -> Result<Self> {
        if n_bins == 0 || neurons.is_empty() {
            let reason = "a histogram has at least 1 bin, of 1 neuron".to_owned();
            return Err(ProbeError::BadSetting { setting: "the number of bins or neurons", value: 0, reason });
        }
        let (directions, weights) = (VocabularyDirections::new(model)?, weights_of(model)?);
        let cosines = |of: &NeuronIndex| -> Result<Vec<f32>> {
            let w_out = weights.w_out(of.layer)?;
            let [n_neurons, _] = w_out.dims();
            if of.neuron >= n_neurons {
                let reason = format!("layer {} has {n_neurons}", of.layer);
                return Err(ProbeError::BadSetting { setting: "the index of a neuron", value: of.neuron, reason });
            }
            let row = Tensor::<1, Int>::from_data([of.neuron as i32], &w_out.device());
            Ok(directions.cosines_of(w_out.select(0, row)))
        };
        let all = neurons.iter().map(cosines).collect::<Result<Vec<_>>>()?;
        let values = || all.iter().flatten().map(|cosine| f64::from(*cosine));
        let (first, last) = values().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
        if values().any(|cosine| !cosine.is_finite()) {
            return Err(ProbeError::NoNeurons);
        }
        let width = ((last - first) / n_bins as f64).max(f64::MIN_POSITIVE);
        let bin = |cosine: f32| (((f64::from(cosine) - first) / width) as usize).min(n_bins - 1);
        let histogram = |(of, cosines): (&NeuronIndex, &Vec<f32>)| {
            let mut counts = [vec![0; n_bins], vec![0; n_bins]];
            for (token, &cosine) in cosines.iter().enumerate() {
                counts[usize::from(!belongs.get(token).copied().unwrap_or(false))][bin(cosine)] += 1;
            }
            let [inside, outside] = counts;
            TokenHistogram { of: *of, inside, outside }
        };
        Ok(Self { first, width, neurons: neurons.iter().zip(&all).map(histogram).collect() })
    }

    /// The middle of each bin.
    pub fn middles(&self) -> impl Iterator<Item = f64> + '_ {
        let n_bins = self.neurons.first().map_or(0, |of| of.inside.len());
        (0..n_bins).map(|bin| self.first + (bin as f64 + 0.5) * self.width)
    }
}
