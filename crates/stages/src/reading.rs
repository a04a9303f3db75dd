//! A profile's curves as one number in [-1, 1] for each layer and signal: [`Means`], [`View`] and [`Views`].

use std::collections::BTreeMap;

use stratigraph_profile::Axis;

use crate::removal;
use crate::robust::{RobustScale, mean, median};
use crate::signal::SignalSet;
use crate::{ComparisonScale, EvidenceKind, Reading, Rule, Signal, path::Scores};

/// The means of one curve; of a profile, or of one draw of its windows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MeanCurve<'a> {
    pub(crate) axis: &'a Axis,
    pub(crate) mean: Vec<f64>,
}

/// The means of curves, by name.
pub(crate) type Means<'a> = BTreeMap<&'a str, MeanCurve<'a>>;

/// What is known of a model beside its curves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    pub(crate) n_layers: usize,
    /// From how many nats on deleting a layer costs something.
    pub(crate) floor: Option<f64>,
    /// Layers that are left out, since they are odd.
    pub(crate) odd: Vec<usize>,
}

/// What one signal shows in each layer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View<'a> {
    pub(crate) signal: &'a Signal,
    /// Which of the kinds of evidence it is.
    kind: usize,
    /// Which of the groups of signals it belongs to.
    pub(crate) group: usize,
    /// Each of the curve's numbers is of several neighbouring layers, as swaps are.
    pub(crate) is_shared: bool,
    /// On the signal's own scale, by layer; NaN where there is no number.
    pub(crate) values: Vec<f64>,
    /// Median and spread of the values.
    pub(crate) robust: RobustScale,
    /// In [-1, 1], by layer; 0 where there is no number.
    pub(crate) shown: Vec<f64>,
    /// It is ignored, since no layer stands out.
    pub(crate) silent: bool,
}

impl<'a> View<'a> {
    /// None where the curve is missing, has too few numbers or is not over the layers of a model of `n_layers`.
    fn new(set: &SignalSet, signal: &'a Signal, means: &Means, n_layers: usize, rule: &Rule) -> Option<Self> {
        if set.replacement(signal, |curve| means.contains_key(curve)).is_some() {
            return None;
        }
        let curve = means.get(signal.curve.as_str())?;
        let values = match signal.reading {
            Reading::High(scale) | Reading::Low(scale) => on_scale(scale, curve, n_layers)?,
            Reading::NearPeak => on_scale(ComparisonScale::SquareRoot, curve, n_layers)?,
            Reading::Approach => approach(curve, n_layers)?,
        };
        let robust = RobustScale::new(&values, rule.outlier, signal.least_spread(rule))?;
        let score = |x: f64| clamped(score(signal, x, &robust, rule, &values));
        let shown: Vec<f64> = values.iter().map(|&x| if x.is_finite() { score(x) } else { 0.0 }).collect();
        let equal = values.iter().all(|&x| !x.is_finite() || (x - robust.centre).abs() < 1e-12);
        let special = |&x: &f64| match signal.reading {
            Reading::Low(_) => -robust.z(x) > rule.stands_out,
            _ => robust.z(x) > rule.stands_out,
        };
        let flat = signal.reading != Reading::Approach && !values.iter().any(special);
        let (kind, is_shared) = (set.kind_of(signal), layers_in_each(curve.axis) > 1);
        let group = set.groups().iter().position(|group| *group == signal.group()).unwrap_or(0);
        let mut view = Self { signal, kind, group, is_shared, values, robust, shown, silent: equal || flat };
        if signal.reading == Reading::Approach {
            // Every lens is the model after the last layer: the way that is left before it is what the lens lacks. For the
            // logit lens it is also the cost of deleting the last layer.
            view.shown.iter_mut().last().into_iter().for_each(|last| *last = 0.0);
        }
        Some(view)
    }

    /// Lets no layer show more than the cost of deleting it allows: all of it from the floor on, none at half of the floor.
    fn limit(&mut self, costs: &[f64], floor: f64) {
        for (shown, cost) in self.shown.iter_mut().zip(costs).filter(|(_, cost)| cost.is_finite()) {
            let most = 1.0 + 2.0 * (cost.max(f64::MIN_POSITIVE) / floor).log2();
            *shown = shown.min(most.clamp(-1.0, 1.0));
        }
    }
}

/// What deleting each layer costs in nats, at all positions but the first where that was measured.
fn costs(means: &Means, n_layers: usize) -> Option<Vec<f64>> {
    let (_, curve) = removal::preferred(|name| means.get(name))?;
    by_layer(curve.axis, &curve.mean, n_layers)
}

/// Between -1 and 1; a single layer, however extreme, counts no more.
fn clamped(x: f64) -> f64 {
    if x.is_finite() { x.clamp(-1.0, 1.0) } else { 0.0 }
}

fn score(signal: &Signal, x: f64, robust: &RobustScale, rule: &Rule, values: &[f64]) -> f64 {
    let special = |z: f64| (z - rule.stands_out) / (rule.outlier - rule.stands_out);
    match signal.reading {
        Reading::High(_) => special(robust.z(x)),
        Reading::Low(_) => special(-robust.z(x)),
        Reading::Approach => 2.0 * x - 1.0,
        Reading::NearPeak => {
            let peak = 2.0 * x / values.iter().copied().fold(0.0, f64::max) - 1.0;
            peak.min(special(robust.z(x)))
        }
    }
}

/// A curve on a scale, one value a layer.
fn on_scale(scale: ComparisonScale, curve: &MeanCurve, n_layers: usize) -> Option<Vec<f64>> {
    let values: Vec<f64> = curve.mean.iter().map(|&value| scale.forward(value)).collect();
    by_layer(curve.axis, &values, n_layers)
}

/// How many layers a point of an axis is of.
fn layers_in_each(axis: &Axis) -> usize {
    match axis {
        Axis::AdjacentPairs { .. } => 2,
        Axis::BlockStarts { length, .. } => *length,
        _ => 1,
    }
}

/// One value a layer: the residual position after the layer, or the mean of the pairs or blocks that contain it. None where
/// the axis is not over the depth of a model of `n_layers` layers, or has another length than the curve.
pub(crate) fn by_layer(axis: &Axis, curve: &[f64], n_layers: usize) -> Option<Vec<f64>> {
    if axis.n_layers() != Some(n_layers) || axis.len() != curve.len() {
        return None;
    }
    match axis {
        Axis::Layers { .. } => Some(curve.to_vec()),
        Axis::ResidualPositions { .. } => Some(curve[1..].to_vec()),
        _ => {
            let (n, before) = (curve.len(), layers_in_each(axis) - 1);
            let around = |layer: usize| curve[layer.saturating_sub(before).min(n)..(layer + 1).min(n)].iter().copied();
            Some((0..n_layers).map(|layer| mean(around(layer)).unwrap_or(f64::NAN)).collect())
        }
    }
}

/// How much nearer to its last value each layer brings the curve, where 1 is an even pace: the one that would carry the curve
/// from its median distance to 0 in half the layers. For a straight fall and for one that starts half way this is the slope of
/// the fall, and the lens of the bare embedding does not change it.
fn approach(curve: &MeanCurve, n_layers: usize) -> Option<Vec<f64>> {
    let values = &curve.mean;
    let fits = *curve.axis == Axis::residual_positions(n_layers) && values.len() == n_layers + 1;
    let last = *values.last().filter(|_| fits)?;
    let distances: Vec<f64> = values.iter().map(|value| (value - last).abs()).collect();
    let share = median(&distances[..n_layers])? / (n_layers as f64 / 2.0);
    let shares = |pair: &[f64]| if share > 0.0 { (pair[0] - pair[1]) / share } else { 0.0 };
    Some(distances.windows(2).map(shares).collect())
}

/// What all signals show.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Views<'a> {
    pub(crate) views: Vec<View<'a>>,
    pub(crate) n_layers: usize,
    /// Layers that are left out.
    pub(crate) odd: Vec<usize>,
    kinds: &'a [EvidenceKind],
    groups: Vec<&'a str>,
}

impl<'a> Views<'a> {
    /// Of every signal whose curve is there.
    pub(crate) fn new(set: &'a SignalSet, means: &Means, setting: &Setting, rule: &Rule) -> Self {
        let n_layers = setting.n_layers;
        let view = |signal| View::new(set, signal, means, n_layers, rule);
        let mut views: Vec<View> = set.signals.iter().filter_map(view).collect();
        for (kind, _) in set.kinds.iter().enumerate().filter(|(_, kind)| !kind.silent_when_flat) {
            if views.iter().all(|view| view.kind != kind || view.silent) {
                views.iter_mut().filter(|view| view.kind == kind).for_each(|view| view.silent = false);
            }
        }
        if let Some((floor, costs)) = setting.floor.zip(costs(means, n_layers)) {
            views.iter_mut().filter(|view| view.signal.kind.has_floor).for_each(|view| view.limit(&costs, floor));
        }
        Self { views, n_layers, odd: setting.odd.clone(), kinds: &set.kinds, groups: set.groups() }
    }

    /// What one boundary between stages costs, in nats: `ln L` times the rule's price.
    pub(crate) fn price(&self, rule: &Rule) -> f64 {
        rule.stage_price * (self.n_layers.max(1) as f64).ln()
    }

    /// That of one curve.
    pub(crate) fn get(&self, curve: &str) -> Option<&View<'a>> {
        self.views.iter().find(|view| view.signal.curve == curve)
    }

    /// The name of a group of signals.
    pub(crate) fn group_name(&self, group: usize) -> &'a str {
        self.groups[group]
    }

    /// The groups that have a curve which is not ignored.
    pub(crate) fn informative(&self) -> Vec<usize> {
        (0..self.groups.len()).filter(|&group| self.heard().any(|view| view.group == group)).collect()
    }

    /// The views that are not ignored.
    pub(crate) fn heard(&self) -> impl Iterator<Item = &View<'a>> {
        self.views.iter().filter(|view| !view.silent)
    }

    /// The score of each stage in each layer, in nats: the log likelihood of what the layer shows, if each kind of evidence were
    /// independent given the stage. A kind's curves are averaged. Only the views that are wanted count, and no layer that is
    /// left out.
    pub(crate) fn scores(&self, rule: &Rule, wanted: impl Fn(&View) -> bool) -> Scores {
        let mut scores = vec![[0.0; 4]; self.n_layers];
        for (index, kind) in self.kinds.iter().enumerate() {
            let views: Vec<&View> = self.heard().filter(|view| view.kind == index && wanted(view)).collect();
            if views.is_empty() {
                continue;
            }
            let expected = kind.expected.map(|expected| expected.probability(rule));
            let logs = expected.map(|q| [q.ln(), (1.0 - q).ln()]);
            for (layer, score) in scores.iter_mut().enumerate() {
                let Some(shown) = mean(views.iter().map(|view| view.shown[layer])) else { continue };
                let chance = (1.0 + shown) / 2.0;
                for (score, [yes, no]) in score.iter_mut().zip(logs) {
                    *score += kind.weight * (chance * yes + (1.0 - chance) * no);
                }
            }
        }
        self.odd.iter().for_each(|&layer| scores[layer] = [0.0; 4]);
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_axis_over_depth_gives_a_value_for_each_layer() {
        let curve = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(by_layer(&Axis::layers(4), &curve, 4).unwrap(), curve);
        assert_eq!(by_layer(&Axis::residual_positions(3), &curve, 3).unwrap(), [2.0, 4.0, 8.0]);
        assert_eq!(by_layer(&Axis::adjacent_pairs(5), &curve, 5).unwrap(), [1.0, 1.5, 3.0, 6.0, 8.0]);
        assert_eq!(by_layer(&Axis::block_starts(5, 2), &curve, 5).unwrap(), [1.0, 1.5, 3.0, 6.0, 8.0]);
        assert_eq!(by_layer(&Axis::block_starts(6, 3), &curve, 6).unwrap()[3], 14.0 / 3.0);
        for (axis, n_layers) in [(Axis::layers(5), 5), (Axis::layers(4), 5), (Axis::counting("x", 4), 4)] {
            assert_eq!(by_layer(&axis, &curve, n_layers), None, "{axis:?}");
        }
    }
}
