//! Activation patching over pairs of prompts; what its tests share.

mod by_hand;
mod options;
mod pairs;
mod reference;

use approx::abs_diff_eq;
use stratigraph_core::{NoTap, ResidualModel, RunModel, SplitMix64, Tap, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_profile::Matrix;
use stratigraph_study::measurements::{ActivationPatching, EncodedPairs, TokenPair};
use stratigraph_study::{Findings, Study};
use stratigraph_testing::{device, fixture, host};

pub fn load(name: &str) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap()
}

pub fn window(prompt: &[u32]) -> TokenWindows {
    TokenWindows::new(prompt, prompt.len()).unwrap()
}

/// The logits at the last position of a run with a tap.
pub fn logits(model: &dyn ResidualModel, prompt: &[u32], tap: &mut dyn Tap) -> Vec<f64> {
    let resid = model.forward(window(prompt).batch(0..1, &model.device()), tap).unwrap();
    let last = resid.narrow(1, prompt.len() - 1, 1);
    host(model.logits(last).unwrap()).into_iter().map(f64::from).collect()
}

pub fn difference(logits: &[f64], pair: &TokenPair) -> f64 {
    logits[pair.answer as usize] - logits[pair.other as usize]
}

/// Two prompts of random tokens, and the answers whose logits they change most.
pub fn random_pair(model: &dyn ResidualModel, seq_len: usize, seed: u64) -> TokenPair {
    let mut random = SplitMix64::new(seed);
    let [clean, corrupted] =
        [0; 2].map(|_| -> Vec<u32> { (0..seq_len).map(|_| random.below(model.d_vocab()) as u32).collect() });
    answered(model, clean, corrupted)
}

pub fn answered(model: &dyn ResidualModel, clean: Vec<u32>, corrupted: Vec<u32>) -> TokenPair {
    let [a, b] = [&clean, &corrupted].map(|prompt| logits(model, prompt, &mut NoTap));
    let change = |token: &usize| a[*token] - b[*token];
    let tokens = || 0..model.d_vocab();
    let answer = tokens().max_by(|x, y| change(x).total_cmp(&change(y))).unwrap();
    let other = tokens().min_by(|x, y| change(x).total_cmp(&change(y))).unwrap();
    TokenPair::new(clean, corrupted, answer as u32, other as u32)
}

pub fn patching(pairs: &[TokenPair]) -> ActivationPatching {
    ActivationPatching::new(EncodedPairs::new(pairs.to_vec()).unwrap()).with_least_difference(1e-4)
}

/// What a study with this measurement finds; its corpus plays no part.
pub fn study(model: &dyn ResidualModel, patching: ActivationPatching) -> Findings {
    Study::new(model).add(patching).run(&window(&[1, 2, 3])).unwrap()
}

#[track_caller]
pub fn assert_matrix(found: &Matrix, expected: &[Vec<f64>], what: &str) {
    assert_eq!((found.values.len(), found.values[0].len()), (expected.len(), expected[0].len()), "{what}");
    for (layer, (found, expected)) in found.values.iter().zip(expected).enumerate() {
        for (column, (found, expected)) in found.iter().zip(expected).enumerate() {
            let is_close = abs_diff_eq!(found, expected, epsilon = 2e-4 * expected.abs().max(1.0));
            assert!(is_close, "{what}, layer {layer}, column {column}: {found}, expected {expected}");
        }
    }
}
