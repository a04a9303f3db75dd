//! A profile's curves as one number in [-1, 1] for each layer and signal: [`Means`], [`View`] and [`Views`].

use std::collections::BTreeMap;

use crate::robust::{Majority, mean, median};
use crate::signal::{Measurement, Reading, SIGNALS, Signal, Unit};
use crate::{Rule, path::Scores};

/// The means of curves, by name; of a profile, or of one draw of its windows.
pub(crate) type Means = BTreeMap<String, Vec<f64>>;

/// What one signal says of each layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    pub(crate) signal: &'static Signal,
    /// On the signal's own scale, by layer; NaN where there is no number.
    pub(crate) values: Vec<f64>,
    /// Median and spread of the values.
    pub(crate) majority: Majority,
    /// In [-1, 1], by layer; 0 where there is no number.
    pub(crate) shown: Vec<f64>,
    /// It says nothing of where stages lie: no layer stands out.
    pub(crate) silent: bool,
}

impl View {
    /// None where the curve is missing, has too few numbers or a length that does not belong to `n_layers` layers.
    pub(crate) fn of(signal: &'static Signal, means: &Means, n_layers: usize, rule: &Rule) -> Option<Self> {
        let curve = means.get(signal.curve)?;
        let values = match signal.reading {
            Reading::High(unit) | Reading::Low(unit) => on_scale(signal, unit, curve, n_layers)?,
            Reading::NearPeak => on_scale(signal, Unit::Count, curve, n_layers)?,
            Reading::Approach => approach(curve, n_layers)?,
        };
        let majority = Majority::of(&values, rule.outlier, signal.least_spread(rule))?;
        let score = |x: f64| clamped(score(signal, x, &majority, rule, &values));
        let shown: Vec<f64> = values.iter().map(|&x| if x.is_finite() { score(x) } else { 0.0 }).collect();
        let equal = values.iter().all(|&x| !x.is_finite() || (x - majority.centre).abs() < 1e-12);
        let special = |&x: &f64| match signal.reading {
            Reading::Low(_) => -majority.z(x) > rule.stands_out,
            _ => majority.z(x) > rule.stands_out,
        };
        let flat = signal.reading != Reading::Approach && !values.iter().any(special);
        Some(Self { signal, values, majority, shown, silent: equal || flat })
    }
}

/// Between -1 and 1; a single layer, however extreme, counts no more.
fn clamped(x: f64) -> f64 {
    if x.is_finite() { x.clamp(-1.0, 1.0) } else { 0.0 }
}

fn score(signal: &Signal, x: f64, majority: &Majority, rule: &Rule, values: &[f64]) -> f64 {
    let special = |z: f64| (z - rule.stands_out) / (rule.outlier - rule.stands_out);
    match signal.reading {
        Reading::High(_) => special(majority.z(x)),
        Reading::Low(_) => special(-majority.z(x)),
        Reading::Approach => 2.0 * x - 1.0,
        Reading::NearPeak => 2.0 * x / values.iter().copied().fold(0.0, f64::max) - 1.0,
    }
}

/// A curve on a scale, one value a layer.
fn on_scale(signal: &Signal, unit: Unit, curve: &[f64], n_layers: usize) -> Option<Vec<f64>> {
    let values: Vec<f64> = curve.iter().map(|&value| unit.forward(value)).collect();
    by_layer(signal, &values, n_layers)
}

/// One value a layer: a curve of places gives the place behind the layer, a curve of swaps the mean of the swaps that the
/// layer takes part in. None if its length does not belong to `n_layers` layers.
pub(crate) fn by_layer(signal: &Signal, curve: &[f64], n_layers: usize) -> Option<Vec<f64>> {
    let n = curve.len();
    if signal.measurement == Measurement::Swap {
        let around = |layer: usize| curve[layer.saturating_sub(1)..(layer + 1).min(n)].iter().copied();
        let of = |layer: usize| mean(around(layer)).unwrap_or(f64::NAN);
        return (n + 1 == n_layers).then(|| (0..n_layers).map(of).collect());
    }
    match n {
        n if n == n_layers => Some(curve.to_vec()),
        n if n == n_layers + 1 => Some(curve[1..].to_vec()),
        _ => None,
    }
}

/// How much nearer to its last value each layer brings the curve, in even shares. The even share is what would carry the
/// curve from its median distance to 0 in half the layers: for a straight fall and for one that starts half way this is the
/// slope of the fall, and what the lens makes of the bare embedding does not change it.
fn approach(curve: &[f64], n_layers: usize) -> Option<Vec<f64>> {
    let last = *curve.last().filter(|_| curve.len() == n_layers + 1)?;
    let distances: Vec<f64> = curve.iter().map(|value| (value - last).abs()).collect();
    let share = median(&distances[..n_layers])? / (n_layers as f64 / 2.0);
    let shares = |pair: &[f64]| if share > 0.0 { (pair[0] - pair[1]) / share } else { 0.0 };
    Some(distances.windows(2).map(shares).collect())
}

/// What all signals say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Views {
    pub(crate) views: Vec<View>,
    pub(crate) n_layers: usize,
}

impl Views {
    /// Of every signal whose curve is there.
    pub(crate) fn of(means: &Means, n_layers: usize, rule: &Rule) -> Self {
        let mut views: Vec<View> =
            SIGNALS.iter().filter_map(|signal| View::of(signal, means, n_layers, rule)).collect();
        for kind in Measurement::ALL.into_iter().filter(|kind| !kind.is_silent_when_flat()) {
            if views.iter().all(|view| view.signal.measurement != kind || view.silent) {
                views.iter_mut().filter(|view| view.signal.measurement == kind).for_each(|view| view.silent = false);
            }
        }
        Self { views, n_layers }
    }

    /// That of one curve.
    pub(crate) fn get(&self, curve: &str) -> Option<&View> {
        self.views.iter().find(|view| view.signal.curve == curve)
    }

    /// The kinds of measurement that say something.
    pub(crate) fn speaking(&self) -> impl Iterator<Item = Measurement> + '_ {
        Measurement::ALL.into_iter().filter(|&kind| self.heard(kind).next().is_some())
    }

    fn heard(&self, kind: Measurement) -> impl Iterator<Item = &View> {
        self.views.iter().filter(move |view| view.signal.measurement == kind && !view.silent)
    }

    /// The score of each stage in each layer, in nats: the log likelihood of what the layer shows, were each kind of
    /// measurement independent given the stage. A kind's curves are averaged; kinds can be left out.
    pub(crate) fn scores(&self, rule: &Rule, without: &[Measurement]) -> Scores {
        let mut scores = vec![[0.0; 4]; self.n_layers];
        for kind in self.speaking().filter(|kind| !without.contains(kind)) {
            let expected = kind.expected().map(|expected| expected.probability(rule));
            let weight = kind.weight(&rule.weights);
            for (layer, score) in scores.iter_mut().enumerate() {
                let Some(shown) = mean(self.heard(kind).map(|view| view.shown[layer])) else { continue };
                let chance = (1.0 + shown) / 2.0;
                for (score, q) in score.iter_mut().zip(expected) {
                    *score += weight * (chance * q.ln() + (1.0 - chance) * (1.0 - q).ln());
                }
            }
        }
        scores
    }
}
