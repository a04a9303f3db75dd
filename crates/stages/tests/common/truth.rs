//! Profiles of which the stages are known: [`Truth`].

use stratigraph_profile::{Profile, Segmentation, Stage};

use super::{Layer, Noise, Random, profile};

/// Where stages meet and how: each change goes from 10 to 90 % within a width, or is a step.
#[derive(Clone, Copy)]
pub struct Truth {
    pub cuts: [usize; 3],
    /// In layers; 0 for a step.
    pub widths: [f64; 3],
    /// Each property changes up to this many layers before or after the cut.
    pub jitter: usize,
    /// A layer that cannot be removed, for a reason of its own.
    pub outlier: Option<usize>,
}

/// Where the stages of a synthetic model of `n` layers end.
pub fn cuts(n: usize) -> [usize; 3] {
    let least = if n < 10 { 1 } else { 2 };
    [(n / 8).max(least), n * 3 / 5, n - (n / 12).max(least)]
}

impl Truth {
    /// Steps at [`cuts`].
    pub fn steps(n: usize) -> Self {
        Self { cuts: cuts(n), widths: [0.0; 3], jitter: 0, outlier: None }
    }

    pub fn with_jitter(self, jitter: usize) -> Self {
        Self { jitter, ..self }
    }

    pub fn with_outlier(self, layer: usize) -> Self {
        Self { outlier: Some(layer), ..self }
    }

    pub fn with_widths(self, widths: [f64; 3]) -> Self {
        Self { widths, ..self }
    }

    /// The layers, in order.
    pub fn layers(&self, n: usize, noise: Noise, random: &mut Random) -> Vec<Layer> {
        let mut layers = vec![];
        let shifts: Vec<[f64; 3]> = (0..10).map(|_| self.cuts.map(|cut| self.shifted(cut, random))).collect();
        for layer in 0..n {
            let level = |property: usize, of: [f64; 4]| self.level(layer, &shifts[property], of);
            let mut loud = |x: f64| (x + noise.layers * random.normal()).exp();
            let logs = |of: [f64; 4]| of.map(f64::ln);
            let even = 1.0 / (n - self.cuts[1]).max(1) as f64;
            layers.push(Layer {
                sensitivity: loud(level(0, logs([4.0, 0.2, 0.25, 1.5]))),
                influence: loud(level(1, logs([0.3, 0.04, 0.05, 0.2]))),
                local: loud(level(2, logs([0.5, 0.15, 0.15, 0.15]))).min(0.95),
                words: loud(level(3, logs([0.5, 0.02, 0.02, 0.02]))),
                mlp: loud(level(4, logs([60.0, 10.0, 14.0, 60.0]))),
                attention: loud(level(5, logs([50.0, 10.0, 10.0, 12.0]))),
                lens_fall: level(6, [0.0, 0.0, 12.0, 12.0]) * even + 6.0 * noise.layers / n as f64 * random.normal(),
                kurtosis: level(7, [2.95, 2.95, 3.3, 4.5]) + 0.05 * noise.layers * random.normal(),
                prediction: level(8, [0.0, 0.0, 3.5, 5.5]).powi(2).round(),
                suppression: level(9, [0.0, 0.0, 1.0, 6.3]).powi(2).round(),
            });
        }
        if let Some(odd) = self.outlier {
            // What massive activations look like: everything that comes through the layer is new, and it cannot be removed.
            (layers[odd].sensitivity, layers[odd].influence, layers[odd].mlp) = (2.0, 0.5, 300.0);
        }
        layers
    }

    fn shifted(&self, cut: usize, random: &mut Random) -> f64 {
        cut as f64 + random.below(2 * self.jitter + 1) as f64 - self.jitter as f64
    }

    fn level(&self, layer: usize, cuts: &[f64; 3], of: [f64; 4]) -> f64 {
        let risen = |index: usize| {
            let from = layer as f64 + 0.5 - cuts[index];
            match self.widths[index] {
                0.0 => f64::from(u8::from(from > 0.0)),
                width => 1.0 / (1.0 + (-2.0 * 9f64.ln() * from / width).exp()),
            }
        };
        (0..3).map(|index| (of[index + 1] - of[index]) * risen(index)).sum::<f64>() + of[0]
    }

    /// A profile of it.
    pub fn profile(&self, n: usize, noise: Noise, seed: u64) -> Profile {
        let mut random = Random(seed);
        let layers = self.layers(n, noise, &mut random);
        profile(&layers, noise, &mut random)
    }
}

/// A profile with four stages, which end at [`cuts`].
pub fn known(n: usize, noise: Noise, seed: u64) -> Profile {
    Truth::steps(n).profile(n, noise, seed)
}

/// Boundaries found within one layer of where they are, and boundaries found.
pub fn recovered(found: &Segmentation, n: usize) -> [usize; 2] {
    let boundary = |index: usize| found.boundary(Stage::ALL[index], Stage::ALL[index + 1]);
    let near = |index: &usize| boundary(*index).is_some_and(|boundary| boundary.at.abs_diff(cuts(n)[*index]) <= 1);
    [(0..3).filter(near).count(), (0..3).filter(|&index| boundary(index).is_some()).count()]
}
