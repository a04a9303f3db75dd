//! What the groups of signals say about one boundary, layer by layer: [`Columns`].

use crate::path::Run;
use crate::reading::{View, Views};
use crate::robust::{mean, median};
use crate::{Expected, Reading, Rule};
use stratigraph_profile::Stage;

/// For each group of signals that should change at a boundary, a number for each layer that should rise there, in units of the
/// noise from layer to layer.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// `[group][index]`, of the layers that are not left out.
    pub(crate) values: Vec<Vec<f64>>,
    /// Those layers.
    pub(crate) layers: Vec<usize>,
}

/// The least noise of the way that a lens goes in a layer: a tenth of an even pace.
const LEAST_PACE: f64 = 0.1;

impl Columns {
    /// Of the boundary between two stages, without some layers.
    pub(crate) fn new(views: &Views, pair: &[Run], left_out: &[usize], rule: &Rule) -> Self {
        let stages = [Stage::ALL[pair[0].stage], Stage::ALL[pair[1].stage]];
        let layers: Vec<usize> = (0..views.n_layers).filter(|layer| !left_out.contains(layer)).collect();
        let column = |group: usize| {
            // A curve of which each number is of several layers blurs a step.
            let of_group = views.heard().filter(|view| view.group == group && !view.is_shared);
            let kept = |values: Vec<f64>| {
                let mut values = whole(layers.iter().map(|&layer| values[layer]).collect());
                despike(&mut values, rule.outlier);
                values
            };
            let each: Vec<Vec<f64>> = of_group.filter_map(|view| rising(view, stages, rule)).map(kept).collect();
            let one = |index: usize| mean(each.iter().map(|values| values[index])).unwrap_or(0.0);
            (!each.is_empty()).then(|| (0..layers.len()).map(one).collect())
        };
        let values = views.informative().into_iter().filter_map(column).collect();
        Self { values, layers }
    }
}

/// A curve that should rise from one stage to the other, in units of its noise; none if it should do neither.
fn rising(view: &View, stages: [Stage; 2], rule: &Rule) -> Option<Vec<f64>> {
    let [before, after] = stages.map(|stage| view.signal.kind.expected(stage));
    let [low, high] = [before, after].map(|expected| expected.probability(rule));
    if before == Expected::Either || after == Expected::Either || low == high {
        return None;
    }
    let falls = (high < low) != matches!(view.signal.reading, Reading::Low(_));
    let least = if view.signal.reading == Reading::Approach { LEAST_PACE } else { view.signal.least_spread(rule) };
    let noise = noise(&view.values).max(least);
    let sign = if falls { -1.0 } else { 1.0 };
    let scaled = view.values.iter().map(|x| sign * (x - view.robust.centre) / noise);
    let mut values: Vec<f64> = scaled.collect();
    if view.signal.reading == Reading::Approach {
        // The last layer's way is not evidence: see `View`.
        values.iter_mut().last().into_iter().for_each(|last| *last = f64::NAN);
    }
    Some(values)
}

/// The standard deviation of a layer about a level, from the median difference of neighbouring layers: differences of two
/// normal numbers have a median size of 0.6745 times the square root of 2 standard deviations.
pub(crate) fn noise(values: &[f64]) -> f64 {
    let differences: Vec<f64> = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    median(&differences).unwrap_or(0.0) / (0.6745 * std::f64::consts::SQRT_2)
}

/// Puts a layer that lies further than `cut` outside both of its neighbours on the nearer of them, so that a single odd layer
/// makes no transition: the one that lies furthest outside first. A step is between its neighbours and stays.
fn despike(values: &mut [f64], cut: f64) {
    loop {
        let range = |at: usize| (values[at - 1].min(values[at + 1]), values[at - 1].max(values[at + 1]));
        let outside = |at: usize| (values[at] - range(at).1).max(range(at).0 - values[at]);
        let inner = 1..values.len().max(2) - 1;
        let Some(most) = inner.max_by(|&a, &b| outside(a).total_cmp(&outside(b))) else { return };
        if outside(most) <= cut {
            return;
        }
        let (low, high) = range(most);
        values[most] = values[most].clamp(low, high);
    }
}

/// The values with those that are missing on the line between their neighbours.
fn whole(mut values: Vec<f64>) -> Vec<f64> {
    let known: Vec<usize> = (0..values.len()).filter(|&layer| values[layer].is_finite()).collect();
    let old = values.clone();
    for (layer, value) in values.iter_mut().enumerate().filter(|(_, value)| !value.is_finite()) {
        let left = known.iter().rev().find(|&&at| at < layer);
        let right = known.iter().find(|&&at| at > layer);
        *value = match (left, right) {
            (Some(&a), Some(&b)) => old[a] + (old[b] - old[a]) * (layer - a) as f64 / (b - a) as f64,
            (Some(&at), None) | (None, Some(&at)) => old[at],
            (None, None) => 0.0,
        };
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_is_put_on_its_neighbours_and_a_step_stays() {
        let mut values = vec![0.0, 0.5, 9.0, 0.2, 8.0, 8.0];
        despike(&mut values, 3.5);
        assert_eq!(values, [0.0, 0.5, 0.5, 0.2, 8.0, 8.0]);
        assert_eq!(whole(vec![f64::NAN, 1.0, f64::NAN, 3.0, f64::NAN]), [1.0, 1.0, 2.0, 3.0, 3.0]);
    }
}
