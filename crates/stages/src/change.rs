//! Change points of the curves, found without any idea of stages: [`change_points`].

use crate::Rule;
use crate::chance::Chance;
use crate::columns::noise;
use crate::reading::{View, Views};

/// Values further than this many spreads from the centre count as this many, so that one odd layer makes no segment.
const FARTHEST: f64 = 5.0;
/// Random orders of the layers.
const ORDERS: usize = 99;

/// The first layers of segments in which all curves together are level, by penalised least squares: exact dynamic
/// programming over the number and the positions of change points (Jackson et al., *IEEE Signal Processing Letters* 12, 2005),
/// each at the price of `(d + 2) ln L`: the Bayesian information criterion for the `d` new means, with twice as much for the
/// position as for a mean (Zhang and Siegmund, *Biometrics* 63, 2007, have 3 ln L for one curve). Each curve is divided by its
/// noise, the median difference of neighbouring layers. A segment has two layers at least.
///
/// Curves that go together make such segments by chance, so the segments are kept only if fewer than `significance` of random
/// orders of the layers, all curves together, gain as much from segments.
pub(crate) fn change_points(views: &Views, rule: &Rule) -> Vec<usize> {
    let columns: Vec<Vec<f64>> = views.heard().map(|view| centred(view)).collect();
    let in_order = |layers: &[usize]| {
        let ordered = columns.iter().map(|column| layers.iter().map(|&layer| column[layer]).collect::<Vec<f64>>());
        segments(&ordered.filter_map(|column| standardised(&column)).collect::<Vec<_>>(), layers.len())
    };
    let layers: Vec<usize> = (0..views.n_layers).collect();
    let (points, _) = in_order(&layers);
    if points.is_empty() {
        return points;
    }
    let chance = Chance::of(layers, (ORDERS, rule.seed ^ 0xc4a6e), |layers| in_order(layers).1);
    if chance.p_value() <= rule.significance { points } else { Vec::new() }
}

/// The first layers of the best segments, and how much they gain over a single one.
fn segments(columns: &[Vec<f64>], n: usize) -> (Vec<usize>, f64) {
    if columns.is_empty() || n < 4 {
        return (Vec::new(), 0.0);
    }
    let price = (columns.len() as f64 + 2.0) * (n as f64).ln();
    let cost = Costs::new(columns);
    let mut least = vec![f64::INFINITY; n + 1];
    let mut from = vec![0; n + 1];
    least[0] = -price;
    for end in 2..=n {
        for start in (0..=end - 2).filter(|&start| start != 1) {
            let total = least[start] + price + cost.between(start, end);
            if total < least[end] {
                (least[end], from[end]) = (total, start);
            }
        }
    }
    let mut points: Vec<usize> =
        std::iter::successors(Some(from[n]), |&end| (end > 0).then(|| from[end])).take_while(|&at| at > 0).collect();
    points.reverse();
    (points, cost.between(0, n) - least[n])
}

/// A curve about its median; a value that is missing lies there.
fn centred(view: &View) -> Vec<f64> {
    view.values.iter().map(|&x| if x.is_finite() { x - view.robust.centre } else { 0.0 }).collect()
}

/// A curve in units of its noise; none if neighbouring layers do not differ.
fn standardised(values: &[f64]) -> Option<Vec<f64>> {
    let noise = noise(values);
    (noise > 0.0).then(|| values.iter().map(|x| (x / noise).clamp(-FARTHEST, FARTHEST)).collect())
}

/// Sums of squares about the mean of any segment, from running sums.
struct Costs {
    /// By curve: running sums, and running sums of squares.
    sums: Vec<(Vec<f64>, Vec<f64>)>,
}

impl Costs {
    fn new(columns: &[Vec<f64>]) -> Self {
        let running = |column: &Vec<f64>, of: fn(f64) -> f64| {
            let add = |sum: &mut f64, &x: &f64| {
                *sum += of(x);
                Some(*sum)
            };
            std::iter::once(0.0).chain(column.iter().scan(0.0, add)).collect()
        };
        Self { sums: columns.iter().map(|column| (running(column, |x| x), running(column, |x| x * x))).collect() }
    }

    fn between(&self, start: usize, end: usize) -> f64 {
        let of = |(sums, squares): &(Vec<f64>, Vec<f64>)| {
            let sum = sums[end] - sums[start];
            squares[end] - squares[start] - sum * sum / (end - start) as f64
        };
        self.sums.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::Axis;

    use super::*;
    use crate::Signal;
    use crate::random::Random;
    use crate::reading::{MeanCurve, Means, Setting};
    use crate::signal::SignalSet;

    fn points_of(curves: [(&'static str, Vec<f64>); 2]) -> Vec<usize> {
        let (n, rule) = (curves[0].1.len(), Rule::default());
        let (axis, set) = (Axis::layers(n), SignalSet::new(Signal::standard(&rule)).unwrap());
        let means: Means = curves.map(|(name, mean)| (name, MeanCurve { axis: &axis, mean })).into();
        let setting = Setting { n_layers: n, floor: None, odd: Vec::new() };
        change_points(&Views::new(&set, &means, &setting, &rule), &rule)
    }

    /// The change points of two curves that step at layers 5 and 12 of 20, by `step` times their noise.
    fn stepped(step: f64, seed: u64) -> Vec<usize> {
        let mut random = Random::new(seed);
        let mut level = |layer: usize| f64::from(u8::from((5..12).contains(&layer))) * step + random.normal();
        let mut curve = |scale: f64| (0..20).map(|layer| (scale * level(layer)).exp()).collect();
        points_of([("delete_kl", curve(0.5)), ("block_influence", curve(0.2))])
    }

    #[test]
    fn steps_are_found_and_noise_has_none() {
        for seed in 0..20 {
            let points = stepped(8.0, seed);
            let near = |step: usize| points.iter().any(|at| at.abs_diff(step) <= 1);
            assert!(near(5) && near(12) && points.len() <= 3, "{seed}: {points:?}");
        }
        let of_noise: usize = (0..100).map(|seed| usize::from(!stepped(0.0, seed).is_empty())).sum();
        // The noise is estimated from 19 differences, so it is itself uncertain.
        assert!(of_noise <= 15, "{of_noise}");
    }

    #[test]
    fn three_layers_have_no_change_points() {
        let curve = || vec![9.0, 0.1, 9.0];
        assert!(points_of([("delete_kl", curve()), ("block_influence", curve())]).is_empty());
    }
}
