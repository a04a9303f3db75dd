//! Synthetic profiles: with known stages, and with none.

#![allow(dead_code)] // each test binary uses a part

use std::collections::BTreeMap;

use stratigraph_profile::{
    CorpusRecord, Curve, Estimate, ModelRecord, Profile, ReplicateUnit, Segmentation, Stage, catalogue,
};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    fn uniform(&mut self) -> f64 {
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

    pub fn shuffled(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|last| order.swap(last, (self.between(0.0, (last + 1) as f64) as usize).min(last)));
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
    pub lens_fall: f64,
    pub kurtosis: f64,
    pub prediction: f64,
    pub suppression: f64,
    pub write: f64,
}

/// Layers in four stages that end at `cuts`.
pub fn staged(n: usize, cuts: [usize; 3], noise: Noise, random: &mut Random) -> Vec<Layer> {
    let even = 1.0 / (n - cuts[1]).max(1) as f64;
    (0..n)
        .map(|layer| {
            let stage = cuts.iter().filter(|&&cut| layer >= cut).count();
            let (for_lens, for_kurtosis) = (random.normal(), random.normal());
            let mut loud = |x: f64| x * (noise.layers * random.normal()).exp();
            Layer {
                sensitivity: loud([4.0, 0.2, 0.25, 1.5][stage]),
                influence: loud([0.3, 0.04, 0.05, 0.2][stage]),
                local: loud([0.4, 0.2, 0.2, 0.2][stage]),
                lens_fall: [0.0, 0.0, 12.0, 12.0][stage] * even + 6.0 * noise.layers / n as f64 * for_lens,
                kurtosis: [2.95, 2.95, 3.3, 4.5][stage] + 0.05 * noise.layers * for_kurtosis,
                prediction: [0.0, 0.0, 6.0, 30.0][stage],
                suppression: [0.0, 0.0, 1.0, 40.0][stage],
                write: loud([30.0, 30.0, 40.0, 300.0][stage]),
            }
        })
        .collect()
}

/// Where the stages of a synthetic model of `n` layers end.
pub fn cuts(n: usize) -> [usize; 3] {
    [(n / 8).max(1), n * 3 / 5, n - (n / 12).max(1)]
}

/// A profile with four stages, which end at [`cuts`].
pub fn known(n: usize, noise: Noise, seed: u64) -> Profile {
    let mut random = Random(seed);
    let layers = staged(n, cuts(n), noise, &mut random);
    profile(&layers, noise, &mut random)
}

/// A profile of the layers of one with four stages, in random order.
pub fn in_random_order(n: usize, noise: Noise, random: &mut Random) -> Profile {
    let layers = staged(n, cuts(n), noise, random);
    let shuffled: Vec<_> = random.shuffled(n).into_iter().map(|layer| layers[layer]).collect();
    profile(&shuffled, noise, random)
}

/// Boundaries found within one layer of where they are, and boundaries found.
pub fn recovered(found: &Segmentation, n: usize) -> [usize; 2] {
    let boundary = |index: usize| found.boundary(Stage::ALL[index], Stage::ALL[index + 1]);
    let near = |index: &usize| boundary(*index).is_some_and(|boundary| boundary.at.abs_diff(cuts(n)[*index]) <= 1);
    [(0..3).filter(near).count(), (0..3).filter(|&index| boundary(index).is_some()).count()]
}

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
        curves.insert(name.to_owned(), curve(name, mean, of_windows, noise, random));
    };
    add("delete_top1_agreement", sensitivity.iter().map(agreement).collect(), true);
    add("delete_kl", sensitivity, true);
    add("swap_kl", swap, true);
    add("block_influence", each(|layer| layer.influence), true);
    add("prev5_attention_mass", each(|layer| layer.local), true);
    add("lens_top1_agreement", lens.iter().map(|kl| agreement(&(kl / 4.0))).collect(), true);
    add("lens_kl", lens, true);
    add("mean_kurtosis", each(|layer| layer.kurtosis), false);
    add("prediction_neurons", each(|layer| layer.prediction), false);
    add("suppression_neurons", each(|layer| layer.suppression), false);
    add("mlp_out_norm", each(|layer| layer.write), true);
    named(n, noise, curves)
}

/// A curve, and the means of windows about it where it has any. The windows' noise is a factor, or of an agreement or a
/// similarity a power, so that it stays between 0 and 1; most of it is a window's own and the same in all layers.
fn curve(name: &str, mean: Vec<f64>, of_windows: bool, noise: Noise, random: &mut Random) -> Curve {
    let entry = catalogue::find(name).unwrap();
    let n_layers = (0..).find(|&n| entry.axis.of(n).len() == mean.len()).unwrap();
    let axis = entry.axis.of(n_layers);
    if !of_windows {
        return Curve::new(axis, entry.unit, mean);
    }
    let is_share = name.contains("agreement") || name.starts_with("cka");
    let mut made = Curve::empty(axis, entry.unit).with_replicates(ReplicateUnit::Windows, Vec::new());
    let difficulty: Vec<f64> = (0..noise.n_windows).map(|_| random.normal()).collect();
    for value in mean {
        let window = |window: usize| {
            let factor = (noise.windows * (difficulty[window] + 0.3 * random.normal())).exp();
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
    let model = ModelRecord::new("synthetic", n_layers, 64, 1000);
    let profile = Profile::new(model, CorpusRecord::new("none", noise.n_windows, 64));
    curves.into_iter().fold(profile, |profile, (name, curve)| profile.with_curve(name, curve).unwrap())
}

/// The names of curves over layers, each with a value that is usual for it and how far it usually strays, on a log scale.
const USUAL: [(&str, f64, f64); 8] = [
    ("delete_kl", 0.3, 1.0),
    ("delete_top1_agreement", 0.7, 0.1),
    ("swap_kl", 0.2, 1.0),
    ("block_influence", 0.05, 0.7),
    ("cka_adjacent", 0.9, 0.05),
    ("prev5_attention_mass", 0.2, 0.4),
    ("mlp_out_norm", 40.0, 0.7),
    ("mean_kurtosis", 3.0, 0.02),
];

/// Every curve of its own kind, from standardised numbers that `shape` gives for a number of layers; the lens falls to 0.
pub fn from_shapes(
    n: usize,
    noise: Noise,
    random: &mut Random,
    mut shape: impl FnMut(usize, &mut Random) -> Vec<f64>,
) -> Profile {
    let mut curves = BTreeMap::new();
    for (name, usual, spread) in USUAL {
        let length = if name.starts_with("swap") { n - 1 } else { n };
        let mean: Vec<f64> = shape(length, random).iter().map(|z| usual * (spread * z).exp()).collect();
        let mean = if usual < 1.0 && !name.ends_with("kl") { mean.iter().map(|x| x.min(0.99)).collect() } else { mean };
        curves.insert(name.to_owned(), curve(name, mean, name != "mean_kurtosis", noise, random));
    }
    let mut lens: Vec<f64> = shape(n + 1, random).iter().map(|z| 6.0 * (0.5 * z).exp()).collect();
    lens[n] = 0.0;
    curves.insert("lens_kl".to_owned(), curve("lens_kl", lens, true, noise, random));
    for name in ["prediction_neurons", "suppression_neurons"] {
        let mean = shape(n, random).iter().map(|z| (3.0 * z.exp()).floor()).collect();
        curves.insert(name.to_owned(), curve(name, mean, false, noise, random));
    }
    named(n, noise, curves)
}

/// White noise.
pub fn white(n: usize, random: &mut Random) -> Vec<f64> {
    (0..n).map(|_| random.normal()).collect()
}

/// A random walk of unit variance over its length.
pub fn walk(n: usize, random: &mut Random) -> Vec<f64> {
    let mut at = 0.0;
    let step = |_| {
        at += random.normal() * (3.0 / n as f64).sqrt();
        at
    };
    (0..n).map(step).collect()
}

/// A monotone drift up or down, straight or bent, with a little noise.
pub fn drift(n: usize, random: &mut Random) -> Vec<f64> {
    let (slope, power) = (random.normal() * 2.0, random.between(-1.0, 1.0).exp());
    (0..n).map(|at| slope * ((at as f64 + 0.5) / n as f64).powf(power) + 0.05 * random.normal()).collect()
}
