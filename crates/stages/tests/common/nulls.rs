//! Profiles without stages.

use std::collections::BTreeMap;

use stratigraph_profile::Profile;

use super::truth::Truth;
use super::{Layer, Noise, Random, curve, named, profile};

/// How a kind of profile is made.
pub type Make = fn(usize, Noise, &mut Random) -> Profile;

/// Every kind, with its name.
pub const NULLS: [(&str, Make); 8] = [
    ("white noise", |n, noise, random| from_shapes(n, noise, random, white)),
    ("random walks, each curve its own", |n, noise, random| from_shapes(n, noise, random, walk)),
    ("random walks that share a latent one", shared_walks),
    ("drifts, straight and bent", |n, noise, random| from_shapes(n, noise, random, drift)),
    ("smooth drifts with edges", edges),
    ("layers of staged profiles in random order", in_random_order),
    ("random weights", random_weights),
    ("two special end layers", special_ends),
];

/// A profile of the layers of one with four stages, in random order.
pub fn in_random_order(n: usize, noise: Noise, random: &mut Random) -> Profile {
    let layers = Truth::steps(n).layers(n, noise, random);
    let shuffled: Vec<_> = random.shuffled(n).into_iter().map(|layer| layers[layer]).collect();
    profile(&shuffled, noise, random)
}

/// Layers that are all alike.
fn alike(n: usize, noise: Noise, random: &mut Random) -> Vec<Layer> {
    let mut loud = |x: f64| x * (noise.layers * random.normal()).exp();
    let layer = |_| Layer {
        sensitivity: loud(0.3),
        influence: loud(0.05),
        local: loud(0.2),
        words: loud(0.02),
        lens_fall: loud(8.0) / n as f64,
        kurtosis: loud(3.0),
        prediction: loud(6.0).round(),
        suppression: loud(4.0).round(),
        mlp: loud(10.0),
        attention: loud(10.0),
    };
    (0..n).map(layer).collect()
}

/// Nothing but a first and a last layer that cannot be removed, and that rewrite and write much.
pub fn special_ends(n: usize, noise: Noise, random: &mut Random) -> Profile {
    let mut layers = alike(n, noise, random);
    for (layer, times) in [(0, 20.0), (n - 1, 8.0)] {
        layers[layer].sensitivity *= times;
        layers[layer].influence *= 6.0;
        layers[layer].mlp *= 6.0;
    }
    profile(&layers, noise, random)
}

/// What a network of random weights does: each layer adds as much as the others to a stream that grows, so that the effect of a
/// layer falls as one over its depth.
pub fn random_weights(n: usize, noise: Noise, random: &mut Random) -> Profile {
    let mut layers = alike(n, Noise { layers: 0.3 * noise.layers, ..noise }, random);
    let power = random.between(0.5, 1.5);
    for (index, layer) in layers.iter_mut().enumerate() {
        let depth = (index as f64 + 1.0).powf(-power);
        layer.sensitivity *= 8.0 * depth;
        layer.influence = (layer.influence * 8.0 * depth).min(0.9);
        layer.mlp *= 10.0 * depth;
        layer.attention *= 10.0 * depth;
        (layer.prediction, layer.suppression) = (0.0, 0.0);
    }
    let mut profile = profile(&layers, noise, random);
    // The loss is not known: a model that does not predict its text has no stages in any case.
    profile.values.clear();
    profile
}

/// The names of curves over layers, each with a value that is usual for it and how far it usually strays, on a log scale.
const USUAL: [(&str, f64, f64); 11] = [
    ("delete_kl", 0.3, 1.0),
    ("delete_top1_agreement", 0.7, 0.1),
    ("swap_kl", 0.2, 1.0),
    ("block_influence", 0.05, 0.7),
    ("cka_adjacent", 0.9, 0.05),
    ("prev5_attention_mass", 0.2, 0.4),
    ("first_token_attention", 0.2, 0.1),
    ("knock_out_words_kl", 0.05, 1.0),
    ("mlp_out_norm", 40.0, 0.7),
    ("attn_out_norm", 40.0, 0.7),
    ("mean_kurtosis", 3.0, 0.02),
];

/// Every curve of its own kind, from standardised numbers that `shape` gives for a number of layers; the lenses fall to 0.
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
        let mean = if usual < 1.0 && !name.ends_with("kl") { mean.iter().map(|x| x.min(0.95)).collect() } else { mean };
        curves.insert(name.to_owned(), curve(name, mean, (name != "mean_kurtosis").then_some(noise), random));
    }
    for name in ["lens_kl", "affine_lens_kl"] {
        let lens: Vec<f64> = shape(n + 1, random).iter().map(|z| 6.0 * (0.5 * z).exp()).collect();
        let lens = lens.iter().map(|way| (way - lens[n]).abs()).collect();
        curves.insert(name.to_owned(), curve(name, lens, Some(noise), random));
    }
    curves.insert("resid_norm".to_owned(), curve("resid_norm", vec![100.0; n + 1], None, random));
    for name in ["prediction_neurons", "suppression_neurons"] {
        let mean = shape(n, random).iter().map(|z| (2.0 + z).max(0.0).powi(2).floor()).collect();
        curves.insert(name.to_owned(), curve(name, mean, None, random));
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

/// Random walks of all curves that are mostly one and the same, up or down.
pub fn shared_walks(n: usize, noise: Noise, random: &mut Random) -> Profile {
    let latent = walk(n + 1, random);
    from_shapes(n, noise, random, |length, random| {
        let (own, part) = (walk(length, random), random.between(0.5, 1.0));
        let sign = if random.uniform() < 0.25 { -1.0 } else { 1.0 };
        own.iter().zip(&latent).map(|(own, latent)| 1.5 * sign * (part * latent + (1.0 - part) * own)).collect()
    })
}

/// A monotone drift up or down, straight or bent, with a little noise.
pub fn drift(n: usize, random: &mut Random) -> Vec<f64> {
    let (slope, power) = (random.normal() * 2.0, random.between(-1.0, 1.0).exp());
    (0..n).map(|at| slope * ((at as f64 + 0.5) / n as f64).powf(power) + 0.05 * random.normal()).collect()
}

/// Smooth curves that rise towards both ends, exponentially or as a power of the distance, the same lengths in all curves.
pub fn edges(n: usize, noise: Noise, random: &mut Random) -> Profile {
    let lengths = [0, 1].map(|_| random.between(2.0, 2.0 + n as f64 / 8.0));
    let is_power = random.uniform() < 0.5;
    from_shapes(n, noise, random, |length, random| {
        let sizes = [0, 1].map(|_| 3.0 * random.uniform());
        let rise = |from_end: f64, scale: f64| {
            if is_power { scale / (scale + from_end) } else { (-from_end / scale).exp() }
        };
        let at = |layer: usize, random: &mut Random| {
            let ends = [layer as f64, (length - 1 - layer) as f64];
            let of = |end: usize| sizes[end] * rise(ends[end], lengths[end]);
            of(0) + of(1) + 0.05 * random.normal()
        };
        (0..length).map(|layer| at(layer, random)).collect()
    })
}
