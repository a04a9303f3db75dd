//! Sets of MLP neurons: a [`NeuronSet`], and those of each [`NeuronClass`] of a model, [`neuron_classes`].

use std::collections::BTreeMap;
use std::fmt;

use burn::tensor::Tensor;
use stratigraph_core::{Edit, EditKind, Hook, ResidualModel};

use super::gram::Gram;
use super::token_frequency::cosines;
use super::{NeuronProfile, NullSpace, log_frequencies, vocabulary_profiles, weights_of};
use crate::Result;

/// MLP neurons of some layers.
///
/// ```
/// use stratigraph_core::EditKind;
/// use stratigraph_probes::neurons::NeuronSet;
///
/// let set = NeuronSet::default().with_layer(3, [9, 5, 9]).with_layer(7, [0]);
/// assert_eq!(set.len(), 3);
/// let edits: Vec<_> = set.edits(&EditKind::Zero).map(|edit| edit.to_string()).collect();
/// assert_eq!(edits, ["blocks.3.mlp.hook_post units=5,9 zero", "blocks.7.mlp.hook_post units=0 zero"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NeuronSet {
    layers: BTreeMap<usize, Vec<usize>>,
}

/// The neurons of a set in one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerNeurons<'a> {
    /// The layer.
    pub layer: usize,
    /// Its neurons, in order and each once.
    pub neurons: &'a [usize],
}

impl NeuronSet {
    /// With some more neurons of a layer.
    pub fn with_layer(mut self, layer: usize, neurons: impl IntoIterator<Item = usize>) -> Self {
        let mut all = self.layers.remove(&layer).unwrap_or_default();
        all.extend(neurons);
        all.sort_unstable();
        all.dedup();
        if !all.is_empty() {
            self.layers.insert(layer, all);
        }
        self
    }

    /// Each layer that has neurons in the set, with these, both in order.
    pub fn layers(&self) -> impl Iterator<Item = LayerNeurons<'_>> {
        self.layers.iter().map(|(&layer, neurons)| LayerNeurons { layer, neurons })
    }

    /// How many neurons there are.
    pub fn len(&self) -> usize {
        self.layers.values().map(Vec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Whether a neuron of a layer is among them.
    pub fn contains(&self, layer: usize, neuron: usize) -> bool {
        self.layers.get(&layer).is_some_and(|neurons| neurons.binary_search(&neuron).is_ok())
    }

    /// The edits that ablate them together in the model's own order of layers: one for each layer, at every position.
    pub fn edits(&self, kind: &EditKind) -> impl Iterator<Item = Edit> {
        let edit = move |LayerNeurons { layer, neurons }: LayerNeurons| {
            Edit::new(Hook::MlpPost.at(layer), kind.clone()).with_units(neurons.iter().copied())
        };
        self.layers().map(edit)
    }
}

/// Classes of MLP neurons, by their output weights alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NeuronClass {
    /// They promote few tokens: [`NeuronProfile::is_prediction`].
    Prediction,
    /// They suppress few tokens: [`NeuronProfile::is_suppression`].
    Suppression,
    /// Of the neurons of the last layer whose `|w_out|` is in the upper quartile, those with the largest share of it in the
    /// [`NullSpace`] of the unembedding: one for each [`NEURONS_PER_MEMBER`](NeuronClass::NEURONS_PER_MEMBER) of the layer.
    Entropy,
    /// The neurons of the last layer with the largest absolute
    /// [`token_frequency_cosines`](super::token_frequency_cosines), as many.
    TokenFrequency,
}

impl NeuronClass {
    /// Every class.
    pub const ALL: [NeuronClass; 4] =
        [NeuronClass::Prediction, NeuronClass::Suppression, NeuronClass::Entropy, NeuronClass::TokenFrequency];

    /// Entropy and token-frequency neurons are the top of a ranking: one per this many neurons of the layer, at least one.
    pub const NEURONS_PER_MEMBER: usize = 256;
}

impl fmt::Display for NeuronClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            NeuronClass::Prediction => "prediction",
            NeuronClass::Suppression => "suppression",
            NeuronClass::Entropy => "entropy",
            NeuronClass::TokenFrequency => "token frequency",
        })
    }
}

/// The neurons of every class of a model; sets may be empty and may overlap. Token
/// frequencies are those of `ids`, the tokens of a corpus.
///
/// # Errors
/// When the model does not give access to its weights, has fewer than three dimensions, or a token is outside the vocabulary.
pub fn neuron_classes(model: &dyn ResidualModel, ids: &[u32]) -> Result<BTreeMap<NeuronClass, NeuronSet>> {
    let frequencies = log_frequencies(ids, model.d_vocab())?;
    let profiles = vocabulary_profiles(model, |_| {})?;
    let gram = Gram::new(model)?;
    let Some(last) = model.n_layers().checked_sub(1) else {
        return Ok(NeuronClass::ALL.map(|class| (class, NeuronSet::default())).into());
    };
    let entropy = entropy_neurons(&gram, model, last)?;
    let cosines = cosines(&gram, model, last, &frequencies)?;
    let by_cosine = cosines.iter().map(|cosine| cosine.abs()).enumerate().collect();
    let in_last = |neurons| NeuronSet::default().with_layer(last, neurons);
    Ok(BTreeMap::from([
        (NeuronClass::Prediction, set_of(&profiles, NeuronProfile::is_prediction)),
        (NeuronClass::Suppression, set_of(&profiles, NeuronProfile::is_suppression)),
        (NeuronClass::Entropy, in_last(entropy)),
        (NeuronClass::TokenFrequency, in_last(largest(by_cosine, n_members(cosines.len())))),
    ]))
}

fn set_of(profiles: &[Vec<NeuronProfile>], is_member: fn(&NeuronProfile) -> bool) -> NeuronSet {
    profiles.iter().enumerate().fold(NeuronSet::default(), |set, (layer, profiles)| {
        let members = profiles.iter().enumerate().filter(|(_, profile)| is_member(profile));
        set.with_layer(layer, members.map(|(neuron, _)| neuron))
    })
}

fn entropy_neurons(gram: &Gram, model: &dyn ResidualModel, layer: usize) -> Result<Vec<usize>> {
    let space = NullSpace::of_gram(gram, NullSpace::default_size(model), model)?;
    let w_out = weights_of(model)?.w_out(layer)?;
    let (norms, shares) = (row_norms(w_out.clone()), space.shares(w_out));
    let mut sorted = norms.clone();
    sorted.sort_by(f64::total_cmp);
    let Some(&least) = sorted.get(sorted.len() * 3 / 4) else { return Ok(Vec::new()) };
    let long = shares.into_iter().enumerate().filter(|(neuron, _)| norms[*neuron] >= least).collect();
    Ok(largest(long, n_members(norms.len())))
}

fn n_members(n_neurons: usize) -> usize {
    (n_neurons / NeuronClass::NEURONS_PER_MEMBER).max(1)
}

/// The neurons of the `n` largest numbers; the first on ties. What is not finite is left out.
fn largest(mut numbers: Vec<(usize, f64)>, n: usize) -> Vec<usize> {
    numbers.retain(|(_, number)| number.is_finite());
    numbers.sort_by(|a, b| b.1.total_cmp(&a.1));
    numbers.into_iter().take(n).map(|(neuron, _)| neuron).collect()
}

/// The length of each row.
fn row_norms(rows: Tensor<2>) -> Vec<f64> {
    let lengths: Vec<f32> = rows.square().sum_dim(1).sqrt().try_into_vec_as().expect("any float");
    lengths.into_iter().map(f64::from).collect()
}

/// The length of the output weights of every neuron, `[layer][neuron]`.
///
/// # Errors
/// [`ProbeError::WeightsMissing`](crate::ProbeError::WeightsMissing) when the model does not give access to its weights.
pub fn output_norms(model: &dyn ResidualModel) -> Result<Vec<Vec<f64>>> {
    let weights = weights_of(model)?;
    (0..model.n_layers()).map(|layer| Ok(row_norms(weights.w_out(layer)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_taken_and_what_is_not_finite_is_not() {
        let numbers = vec![(0, 0.5), (1, f64::NAN), (2, 2.0), (3, 0.5), (4, f64::INFINITY)];
        assert_eq!(largest(numbers.clone(), 2), [2, 0]);
        assert_eq!(largest(numbers, 9), [2, 0, 3]);
        assert_eq!([1, 255, 256, 1536].map(n_members), [1, 1, 1, 6]);
    }

    #[test]
    fn a_set_knows_its_members() {
        let set = NeuronSet::default().with_layer(1, [4, 2]).with_layer(1, [2, 3]).with_layer(5, []);
        assert_eq!(set.layers().collect::<Vec<_>>(), [LayerNeurons { layer: 1, neurons: &[2, 3, 4] }]);
        assert!(set.contains(1, 3) && !set.contains(1, 5) && !set.contains(5, 4));
        assert!(!set.is_empty() && NeuronSet::default().with_layer(2, []).is_empty());
    }
}
