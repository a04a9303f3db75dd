//! The neurons of an ensemble, picked by their weights: [`EnsembleNeuron`].

use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};
use stratigraph_core::ResidualModel;

use crate::neurons::{NeuronProfile, VocabularyDirections, class_association, weights_of};
use crate::statistics::Proportion;
use crate::{ProbeError, Result};

/// Neurons whose kurtosis is measured, for each that is picked.
const CANDIDATES: usize = 32;

/// A neuron that was picked, and how well it does alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnsembleNeuron {
    /// Its layer.
    pub layer: usize,
    /// Its index in the layer.
    pub neuron: usize,
    /// The mean of its cosines with tokens that have the suffix, minus the mean of those with others, in standard deviations
    /// of its cosines with all tokens.
    pub association: f64,
    /// The kurtosis of its cosines with all tokens: over 10 where it writes few tokens.
    pub kurtosis: f64,
    /// How often a probe on its activation alone is right, on windows it was not fitted to.
    pub accuracy: Proportion,
}

impl EnsembleNeuron {
    /// Whether it promotes tokens that have the suffix; otherwise it suppresses them.
    pub fn promotes(&self) -> bool {
        self.association > 0.0
    }

    /// Whether it writes few tokens, as prediction and suppression neurons do.
    pub fn writes_few_tokens(&self) -> bool {
        self.kurtosis > NeuronProfile::FEW_TOKENS
    }
}

/// Neurons with the strongest association with the tokens of a class, promoting or suppressing them: of the strongest, those
/// come first whose kurtosis is that of prediction and suppression neurons, and the stronger ones before the others.
pub(super) fn pick(model: &dyn ResidualModel, belongs: &[bool], n_neurons: usize) -> Result<Vec<EnsembleNeuron>> {
    let directions = VocabularyDirections::new(model)?;
    let mut strongest = associated(model, &directions, belongs)?;
    strongest.sort_by(|a, b| b.association.abs().total_cmp(&a.association.abs()));
    strongest.truncate(n_neurons.saturating_mul(CANDIDATES));
    if strongest.is_empty() {
        return Err(ProbeError::NoNeurons);
    }
    add_kurtosis(model, &directions, &mut strongest)?;
    strongest.sort_by_key(|neuron| !neuron.writes_few_tokens()); // stable
    strongest.truncate(n_neurons);
    Ok(strongest)
}

/// Every neuron with its association with the tokens of a class.
fn associated(
    model: &dyn ResidualModel,
    directions: &VocabularyDirections,
    belongs: &[bool],
) -> Result<Vec<EnsembleNeuron>> {
    let (spread, weights) = (directions.spread(), weights_of(model)?);
    let mut all = Vec::new();
    for layer in 0..model.n_layers() {
        let differences = class_association(model, directions, layer, belongs)?;
        let variances = spread.variances(weights.w_out(layer)?);
        let of_layer = differences.iter().zip(variances).enumerate();
        all.extend(of_layer.map(|(neuron, (difference, variance))| {
            let association = difference / variance.sqrt();
            EnsembleNeuron { layer, neuron, association, kurtosis: f64::NAN, accuracy: Proportion::default() }
        }));
    }
    all.retain(|neuron| neuron.association.is_finite());
    Ok(all)
}

/// Measures the kurtosis of neurons, layer by layer.
fn add_kurtosis(
    model: &dyn ResidualModel,
    directions: &VocabularyDirections,
    neurons: &mut [EnsembleNeuron],
) -> Result<()> {
    let weights = weights_of(model)?;
    for layer in 0..model.n_layers() {
        let mut of_layer: Vec<_> = neurons.iter_mut().filter(|neuron| neuron.layer == layer).collect();
        if of_layer.is_empty() {
            continue;
        }
        let w_out = weights.w_out(layer)?;
        let rows: Vec<i32> = of_layer.iter().map(|neuron| neuron.neuron as i32).collect();
        let rows = Tensor::<1, Int>::from_data(&rows[..], &w_out.device());
        let profiles = directions.profiles(w_out.select(0, rows));
        of_layer.iter_mut().zip(profiles).for_each(|(neuron, profile)| neuron.kurtosis = profile.kurtosis);
    }
    Ok(())
}
