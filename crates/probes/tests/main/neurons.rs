//! Neurons by their output weights: association with a class of tokens, profiles over the vocabulary.

use approx::abs_diff_eq;
use stratigraph_core::{ModelWeights, ResidualModel};
use stratigraph_models::Checkpoint;
use stratigraph_probes::ProbeError;
use stratigraph_probes::neurons::{NeuronIndex, TokenHistograms, VocabularyDirections, class_association};
use stratigraph_testing::{device, fixture};

#[test]
fn association_is_the_difference_of_mean_cosines() {
    let model = Checkpoint::open(fixture("gpt2")).unwrap().load(&device()).unwrap();
    let belongs: Vec<bool> = (0..model.d_vocab()).map(|token| token % 7 == 2).collect();
    let directions = VocabularyDirections::with_chunk(&model, 50).unwrap();
    let found = class_association(&model, &directions, 1, &belongs).unwrap();
    for neuron in [0, 3, found.len() - 1] {
        let cosines = directions.cosines_of(model.w_out(1).unwrap().narrow(0, neuron, 1));
        let mean = |wanted: bool| {
            let chosen = cosines.iter().zip(&belongs).filter(|(_, belongs)| **belongs == wanted);
            let chosen: Vec<f64> = chosen.map(|(cosine, _)| f64::from(*cosine)).collect();
            chosen.iter().sum::<f64>() / chosen.len() as f64
        };
        assert!((found[neuron] - (mean(true) - mean(false))).abs() < 1e-5, "{neuron}");
    }
    let nobody = class_association(&model, &directions, 1, &vec![false; model.d_vocab()]);
    assert!(matches!(nobody, Err(ProbeError::TooFewWords { .. })));
}

#[test]
fn a_planted_prediction_neuron_is_found_whatever_the_chunk() {
    let model = Checkpoint::open(fixture("llama-untied")).unwrap().load(&device()).unwrap();
    let d_vocab = model.d_vocab();
    let wanted = 17;
    let towards = model.w_u(wanted..wanted + 1).unwrap().transpose(); // [1, d_model]
    let away = towards.clone().neg();
    let mut profiles = Vec::new();
    for chunk in [d_vocab, 7, 1] {
        let directions = VocabularyDirections::with_chunk(&model, chunk).unwrap();
        let cosines = directions.cosines_of(towards.clone());
        let largest = (0..d_vocab).max_by(|a, b| cosines[*a].total_cmp(&cosines[*b])).unwrap();
        assert_eq!((cosines.len(), largest), (d_vocab, wanted));
        profiles.push(directions.profiles(towards.clone())[0]);
        let opposite = directions.profiles(away.clone())[0];
        assert!((opposite.skew + profiles.last().unwrap().skew).abs() < 1e-5);
    }
    assert!(profiles[0].skew > 0.0);
    assert!(
        profiles.iter().all(|profile| abs_diff_eq!(profile.kurtosis, profiles[0].kurtosis, epsilon = 1e-4)),
        "{profiles:?}"
    );
}

#[test]
fn histograms_count_every_token_at_its_cosine() {
    let model = Checkpoint::open(fixture("gpt2")).unwrap().load(&device()).unwrap();
    let belongs: Vec<bool> = (0..model.d_vocab()).map(|token| token % 7 == 2).collect();
    let neurons = [NeuronIndex { layer: 0, neuron: 3 }, NeuronIndex { layer: 1, neuron: 0 }];
    let found = TokenHistograms::new(&model, &neurons, &belongs, 10).unwrap();
    let directions = VocabularyDirections::new(&model).unwrap();
    for histogram in &found.neurons {
        let NeuronIndex { layer, neuron } = histogram.of;
        let cosines = directions.cosines_of(model.w_out(layer).unwrap().narrow(0, neuron, 1));
        let mut counts = [[0u64; 10]; 2];
        for (cosine, belongs) in cosines.iter().zip(&belongs) {
            let nearest = found.middles().enumerate().min_by(|(_, a), (_, b)| {
                let apart = |middle: f64| (middle - f64::from(*cosine)).abs();
                apart(*a).total_cmp(&apart(*b))
            });
            counts[usize::from(!belongs)][nearest.unwrap().0] += 1;
        }
        assert_eq!([&histogram.inside[..], &histogram.outside], counts.each_ref().map(|it| &it[..]));
    }
    let ends = |bin: usize| found.neurons.iter().map(|of| of.inside[bin] + of.outside[bin]).sum::<u64>();
    assert!(ends(0) > 0 && ends(9) > 0, "the bins end at the smallest and the largest cosine");
    let refused = |neurons: &[NeuronIndex], n_bins| {
        TokenHistograms::new(&model, neurons, &belongs, n_bins).unwrap_err().to_string()
    };
    assert!(refused(&neurons, 0).contains("at least 1 bin"));
    assert!(refused(&[NeuronIndex { layer: 0, neuron: 100_000 }], 4).contains("layer 0 has"));
}
