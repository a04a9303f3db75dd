//! Synthetic profiles: with known stages ([`truth`]), and with none ([`nulls`]).

#![allow(dead_code)] // each test binary uses a part

pub mod nulls;
pub mod truth;

use std::collections::BTreeMap;

use stratigraph_profile::{CorpusRecord, Curve, Estimate, ModelRecord, Profile, ReplicateUnit, catalogue};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Between two numbers.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.between(0.0, n as f64) as usize).min(n - 1)
    }

    pub fn shuffled(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|last| order.swap(last, self.below(last + 1)));
        order
    }
}

/// How noisy a synthetic profile is.
#[derive(Clone, Copy)]
pub struct Noise {
    /// Of a layer about its stage, on a log scale.
    pub layers: f64,
    /// Of a window about a layer's mean, on a log scale.
    pub windows: f64,
    pub n_windows: usize,
}

pub const QUIET: Noise = Noise { layers: 0.1, windows: 0.1, n_windows: 16 };
pub const LOUD: Noise = Noise { layers: 0.35, windows: 0.3, n_windows: 8 };

/// What one layer does; a profile is made of these, so that layers can be put in another order.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    pub sensitivity: f64,
    pub influence: f64,
    pub local: f64,
    pub words: f64,
    pub lens_fall: f64,
    pub kurtosis: f64,
    pub prediction: f64,
    pub suppression: f64,
    pub mlp: f64,
    pub attention: f64,
}

/// The loss of the synthetic models, and of a unigram model.
const LOSSES: [(&str, f64); 2] = [("clean_nll", 3.5), ("unigram_loss", 7.0)];

/// A profile of layers in a given order, with the means of windows.
pub fn profile(layers: &[Layer], noise: Noise, random: &mut Random) -> Profile {
    let n = layers.len();
    let each = |of: fn(&Layer) -> f64| layers.iter().map(of).collect::<Vec<f64>>();
    let sensitivity = each(|layer| layer.sensitivity);
    let swap: Vec<f64> = sensitivity.windows(2).map(|pair| 0.6 * (pair[0] * pair[1]).sqrt()).collect();
    let mut lens = vec![0.0; n + 1];
    (0..n).rev().for_each(|layer| lens[layer] = lens[layer + 1] + layers[layer].lens_fall);
    let agreement = |kl: &f64| (-0.9 * kl.max(0.0)).exp();
    let mut curves = BTreeMap::new();
    let mut add = |name: &str, mean: Vec<f64>, of_windows: bool| {
        curves.insert(name.to_owned(), curve(name, mean, of_windows.then_some(noise), random));
    };
    add("delete_top1_agreement", sensitivity.iter().map(agreement).collect(), true);
    add("delete_kl", sensitivity, true);
    add("swap_kl", swap, true);
    add("block_influence", each(|layer| layer.influence), true);
    add("prev5_attention_mass", each(|layer| 0.8 * layer.local), true);
    add("first_token_attention", vec![0.2; n], false);
    add("knock_out_words_kl", each(|layer| layer.words), true);
    add("affine_lens_kl", lens.clone(), true);
    add("lens_top1_agreement", lens.iter().map(|kl| agreement(&(kl / 4.0))).collect(), true);
    add("lens_kl", lens, true);
    add("mean_kurtosis", each(|layer| layer.kurtosis), false);
    add("prediction_neurons", each(|layer| layer.prediction), false);
    add("suppression_neurons", each(|layer| layer.suppression), false);
    add("resid_norm", vec![100.0; n + 1], false);
    add("mlp_out_norm", each(|layer| layer.mlp), true);
    add("attn_out_norm", each(|layer| layer.attention), true);
    let profile = named(n, noise, curves);
    LOSSES.into_iter().fold(profile, |profile, (name, loss)| profile.with_value(name, Estimate::exact(loss)))
}

/// A curve, and the means of windows about it where it has any. The windows' noise is a factor, or of an agreement or a
/// similarity a power, so that it stays between 0 and 1; most of it is a window's own and the same in all layers.
pub fn curve(name: &str, mean: Vec<f64>, noise: Option<Noise>, random: &mut Random) -> Curve {
    let entry = catalogue::find(name).or_else(|| catalogue::find(name.strip_prefix("affine_")?)).unwrap();
    let n_layers = (0..).find(|&n| entry.axis.of(n).len() == mean.len()).unwrap();
    let axis = entry.axis.of(n_layers);
    let Some(noise) = noise else { return Curve::new(axis, entry.unit, mean) };
    // A lens reads nearly the same residual stream at neighbouring positions.
    let own = if name.contains("lens") { 0.05 } else { 0.3 };
    let is_share = name.contains("agreement") || name.starts_with("cka");
    let mut made = Curve::empty(axis, entry.unit).with_replicates(ReplicateUnit::Windows, Vec::new());
    let difficulty: Vec<f64> = (0..noise.n_windows).map(|_| random.normal()).collect();
    for value in mean {
        let window = |window: usize| {
            let factor = (noise.windows * (difficulty[window] + own * random.normal())).exp();
            if is_share { value.powf(factor) } else { value * factor }
        };
        let windows: Vec<f64> = (0..noise.n_windows).map(window).collect();
        let mean = windows.iter().sum::<f64>() / noise.n_windows as f64;
        made.push(Estimate::exact(mean), windows);
    }
    made
}

/// A profile of nothing but curves.
pub fn named(n_layers: usize, noise: Noise, curves: BTreeMap<String, Curve>) -> Profile {
    let model = ModelRecord::new("synthetic", n_layers, 64, 10_000);
    let profile = Profile::new(model, CorpusRecord::new("none", noise.n_windows, 64));
    curves.into_iter().fold(profile, |profile, (name, curve)| profile.with_curve(name, curve).unwrap())
}
