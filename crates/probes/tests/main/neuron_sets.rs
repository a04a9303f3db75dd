//! Classes of neurons: those that were planted are found and no others, and cosines with token frequencies are their
//! definition.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use stratigraph_core::{ModelShape, ModelWeights, ResidualModel, Result as CoreResult, Site, SplitMix64, Tap};
use stratigraph_models::Checkpoint;
use stratigraph_probes::ProbeError;
use stratigraph_probes::neurons::{
    NeuronClass, NeuronSet, NullSpace, log_frequencies, neuron_classes, output_norms, token_frequency_cosines,
    vocabulary_profiles,
};
use stratigraph_testing::{Backend, FAMILIES, TestDevice, device, devices, fixture};

const D_MODEL: usize = 16;
const D_VOCAB: usize = 600;
const D_MLP: usize = 512;
/// Directions of the residual stream: one that follows the log frequency, one of few tokens, and one that no token reads.
const FREQUENCY: usize = 13;
const FEW: usize = 14;
const NOBODY: usize = 15;

/// Weights alone: two layers of random neurons, some of which are planted.
struct Planted {
    unembedding: Tensor<2>,
    w_out: [Tensor<2>; 2],
}

/// Each token as often as its id modulo 7.
fn ids() -> Vec<u32> {
    (0..D_VOCAB as u32).flat_map(|id| std::iter::repeat_n(id, (id % 7) as usize)).collect()
}

impl Planted {
    fn new(device: &Device) -> Self {
        let frequencies = log_frequencies(&ids(), D_VOCAB).unwrap();
        let mean = frequencies.iter().sum::<f64>() / D_VOCAB as f64;
        let mut random = SplitMix64::new(11);
        let is_special = |token: usize| token < 3;
        let mut entry = |row: usize, token: usize| match row {
            FREQUENCY => frequencies[token] - mean,
            FEW => {
                if is_special(token) {
                    5.0
                } else {
                    0.0
                }
            }
            NOBODY => 1e-3 * random.normal(),
            _ => {
                if is_special(token) {
                    0.0
                } else {
                    random.normal()
                }
            }
        };
        let unembedding: Vec<f32> = (0..D_MODEL * D_VOCAB).map(|at| entry(at / D_VOCAB, at % D_VOCAB) as f32).collect();
        let mut layer = |planted: &[(usize, usize, f32)]| {
            let mut rows = vec![0.0f32; D_MLP * D_MODEL];
            for row in rows.chunks_mut(D_MODEL) {
                row[..FREQUENCY].iter_mut().for_each(|x| *x = random.normal() as f32);
            }
            for &(neuron, direction, size) in planted {
                let row = &mut rows[neuron * D_MODEL..(neuron + 1) * D_MODEL];
                row.fill(0.0);
                row[direction] = size;
            }
            Tensor::<2>::from_data(TensorData::new(rows, [D_MLP, D_MODEL]), device)
        };
        // A short one is no entropy neuron, nor is one of an earlier layer.
        let first = layer(&[(3, FEW, 1.0), (4, NOBODY, 10.0), (5, FREQUENCY, 1.0)]);
        let last = layer(&[
            (100, FEW, 1.0),
            (101, FEW, -2.0),
            (7, NOBODY, 10.0),
            (8, NOBODY, 0.01),
            (300, NOBODY, -9.0),
            (20, FREQUENCY, 1.0),
            (21, FREQUENCY, -0.5),
        ]);
        let unembedding = Tensor::from_data(TensorData::new(unembedding, [D_MODEL, D_VOCAB]), device);
        Self { unembedding, w_out: [first, last] }
    }
}

impl ResidualModel for Planted {
    fn shape(&self) -> ModelShape {
        ModelShape::new(2, D_MODEL, D_VOCAB).with_d_mlp(D_MLP)
    }

    fn device(&self) -> Device {
        self.unembedding.device()
    }

    fn embed(&self, _tokens: Tensor<2, Int>) -> CoreResult<Tensor<3>> {
        unreachable!("only weights are read")
    }

    fn block(&self, _site: Site, resid: Tensor<3>, _tap: &mut dyn Tap) -> CoreResult<Tensor<3>> {
        Ok(resid)
    }

    fn final_norm(&self, rows: Tensor<2>) -> CoreResult<Tensor<2>> {
        Ok(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
        Ok(normed.matmul(self.w_u(vocab)?))
    }

    fn weights(&self) -> Option<&dyn ModelWeights> {
        Some(self)
    }
}

impl ModelWeights for Planted {
    fn w_out(&self, layer: usize) -> CoreResult<Tensor<2>> {
        Ok(self.w_out[layer].clone())
    }

    fn w_u(&self, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
        Ok(self.unembedding.clone().slice_dim(1, vocab))
    }

    fn final_norm_is_centered(&self) -> bool {
        false
    }
}

#[test]
fn planted_neurons_are_found_and_no_others() {
    // wgpu may run in software, where this takes minutes.
    for TestDevice { backend, device } in devices().into_iter().filter(|it| it.backend != Backend::Wgpu) {
        let classes = neuron_classes(&Planted::new(&device), &ids()).unwrap();
        assert!(classes.keys().eq(&NeuronClass::ALL));
        let in_last = |neurons: [usize; 2]| NeuronSet::default().with_layer(1, neurons);
        let prediction = NeuronSet::default().with_layer(0, [3]).with_layer(1, [100]);
        assert_eq!(classes[&NeuronClass::Prediction], prediction, "{backend}");
        assert_eq!(classes[&NeuronClass::Suppression], NeuronSet::default().with_layer(1, [101]), "{backend}");
        assert_eq!(classes[&NeuronClass::Entropy], in_last([7, 300]), "{backend}");
        assert_eq!(classes[&NeuronClass::TokenFrequency], in_last([20, 21]), "{backend}");
    }
}

/// Tokens of the first half of the vocabulary, some of them often.
fn some_ids(model: &dyn ResidualModel) -> Vec<u32> {
    (0..300).map(|at| (at * at % (model.d_vocab() / 2)) as u32).collect()
}

#[test]
fn cosines_with_frequencies_are_correlations_of_logits() {
    // LayerNorm, RMSNorm, a tied and an untied head.
    for name in ["gpt2", "llama-untied", "llama-gqa"] {
        let model = Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap();
        let ids = some_ids(&model);
        let frequencies = log_frequencies(&ids, model.d_vocab()).unwrap();
        let weight = model.w_u(0..model.d_vocab()).unwrap();
        let weight = if model.final_norm_is_centered() { weight.clone() - weight.mean_dim(0) } else { weight };
        for layer in 0..model.n_layers() {
            let found = token_frequency_cosines(&model, layer, &frequencies).unwrap();
            let logits = model.w_out(layer).unwrap().matmul(weight.clone()); // [neuron, tokens]
            let logits: Vec<f32> = logits.try_into_vec_as().unwrap();
            for (found, logits) in found.iter().zip(logits.chunks(model.d_vocab())) {
                let expected = correlation(logits, &frequencies);
                assert!((found - expected).abs() < 1e-4, "{name}: {found} and {expected}");
            }
        }
        let short = token_frequency_cosines(&model, 0, &frequencies[1..]);
        assert!(matches!(short, Err(ProbeError::WrongShape { .. })), "{short:?}");
    }
    assert!(log_frequencies(&[4], 4).is_err());
}

fn correlation(a: &[f32], b: &[f64]) -> f64 {
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / b.len() as f64;
    let (mean_a, mean_b) = (mean(&mut a.iter().copied().map(f64::from)), mean(&mut b.iter().copied()));
    let sum = |of: &dyn Fn(f64, f64) -> f64| {
        a.iter().zip(b).map(|(a, b)| of(f64::from(*a) - mean_a, b - mean_b)).sum::<f64>()
    };
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

#[test]
fn classes_are_their_definitions_in_every_family() {
    for name in FAMILIES {
        let model = Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap();
        let ids = some_ids(&model);
        let classes = neuron_classes(&model, &ids).unwrap();
        let profiles = vocabulary_profiles(&model, |_| {}).unwrap();
        for (layer, profiles) in profiles.iter().enumerate() {
            for (neuron, profile) in profiles.iter().enumerate() {
                let is = |class: NeuronClass| classes[&class].contains(layer, neuron);
                assert_eq!(is(NeuronClass::Prediction), profile.is_prediction(), "{name}");
                assert_eq!(is(NeuronClass::Suppression), profile.is_suppression(), "{name}");
            }
        }
        let last = model.n_layers() - 1;
        let best = |numbers: Vec<f64>, may: &dyn Fn(usize) -> bool| {
            let chosen = numbers.iter().enumerate().filter(|(neuron, _)| may(*neuron));
            chosen.max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0
        };
        let norms = output_norms(&model).unwrap().remove(last);
        let rank = |neuron: usize| norms.iter().filter(|norm| **norm < norms[neuron]).count();
        let space = NullSpace::new(&model, NullSpace::default_size(&model)).unwrap();
        let entropy = best(space.shares(model.w_out(last).unwrap()), &|neuron| rank(neuron) >= norms.len() * 3 / 4);
        assert_eq!(classes[&NeuronClass::Entropy], NeuronSet::default().with_layer(last, [entropy]), "{name}");
        let cosines = token_frequency_cosines(&model, last, &log_frequencies(&ids, model.d_vocab()).unwrap()).unwrap();
        let frequency = best(cosines.iter().map(|cosine| cosine.abs()).collect(), &|_| true);
        assert_eq!(classes[&NeuronClass::TokenFrequency], NeuronSet::default().with_layer(last, [frequency]), "{name}");
    }
}
