//! Whether the curves of several models have the same shape at the same relative depth: [`Alignment`].

use stratigraph_profile::{Profile, catalogue};

/// Points of relative depth at which curves are compared and averaged.
pub(super) const POINTS: usize = 48;
/// The least numbers of a curve that has a shape.
const LEAST: usize = 3;
/// Random rotations of three models or more; two models have one for each point.
const TURNS: usize = 999;

/// How similar a curve of several models is over relative depth.
///
/// The similarity is the mean rank correlation (Spearman) of all pairs of models, at 48 points of relative depth. For the p-value
/// the curves of each model are rotated along its depth, so that what leaves at the end comes in at the beginning: this keeps
/// their shapes, which are smooth, and shifts them against each other. The p-value is the fraction of rotations that are as
/// similar as the true alignment, which is counted among them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Alignment {
    /// The curve; none for all curves together, in which each model's curves are rotated by the same amount.
    pub curve: Option<String>,
    /// From -1 to 1.
    pub similarity: f64,
    /// The fraction of rotations.
    pub p_value: f64,
    /// How many models have the curve.
    pub n_models: usize,
    /// How many curves it is of.
    pub n_curves: usize,
}

impl Alignment {
    /// The title of its curve.
    pub fn title(&self) -> String {
        match &self.curve {
            None => format!("the {} that all models have, turned together", self.n_curves),
            Some(name) => catalogue::find(name).map_or_else(|| name.clone(), |entry| entry.title),
        }
    }
}

/// The alignment of each curve that two models have at least, and of all curves that all models have together.
pub(super) fn alignments(profiles: &[&Profile], curves: &[&str]) -> Vec<Alignment> {
    let ranked = |name: &&str| -> (String, Vec<Vec<f64>>) {
        (name.to_string(), profiles.iter().filter_map(|profile| ranks(profile, name)).collect())
    };
    let all: Vec<(String, Vec<Vec<f64>>)> = curves.iter().map(ranked).filter(|(_, ranks)| ranks.len() >= 2).collect();
    let one = |(name, ranks): &(String, Vec<Vec<f64>>)| tested(Some(name.clone()), &[ranks]);
    let mut found: Vec<Alignment> = all.iter().map(one).collect();
    let whole: Vec<&Vec<Vec<f64>>> =
        all.iter().map(|(_, ranks)| ranks).filter(|ranks| ranks.len() == profiles.len()).collect();
    if whole.len() >= 2 {
        found.push(tested(None, &whole));
    }
    found
}

/// `[curve][model][point]`.
fn tested(curve: Option<String>, ranks: &[&Vec<Vec<f64>>]) -> Alignment {
    let n_models = ranks[0].len();
    let similarity = |turns: &[usize]| {
        let each = ranks.iter().map(|curve| similarity(curve, turns));
        each.sum::<f64>() / ranks.len() as f64
    };
    let found = similarity(&vec![0; n_models]);
    let n = if n_models == 2 { POINTS - 1 } else { TURNS };
    let as_good = (1..=n).filter(|&turn| similarity(&turns(turn, n_models)) >= found - 1e-12).count();
    let p_value = (as_good + 1) as f64 / (n + 1) as f64;
    Alignment { curve, similarity: found, p_value, n_models, n_curves: ranks.len() }
}

/// By how many points each model is rotated in one of the rotations. The first model stays; two models have every other rotation
/// once. More models are rotated by the Kronecker sequence of square roots of primes, which fills all combinations evenly.
fn turns(turn: usize, n_models: usize) -> Vec<usize> {
    if n_models == 2 {
        return vec![0, turn];
    }
    let primes = (2u32..).filter(|n| (2..*n).all(|by| n % by != 0));
    let roots = primes.map(|prime| f64::from(prime).sqrt());
    let each = roots.take(n_models - 1).map(|root| (turn as f64 * root).fract() * POINTS as f64);
    std::iter::once(0).chain(each.map(|at| at as usize % POINTS)).collect()
}

/// The mean correlation of all pairs of standardised curves, each rotated by its own number of points.
fn similarity(curves: &[Vec<f64>], turns: &[usize]) -> f64 {
    let (n, models) = (POINTS as f64, curves.len() as f64);
    let sum = |point: usize| curves.iter().zip(turns).map(|(curve, turn)| curve[(point + turn) % POINTS]).sum::<f64>();
    let squares: f64 = (0..POINTS).map(|point| sum(point).powi(2)).sum();
    (squares / n - models) / (models * (models - 1.0))
}

/// A curve's standardised ranks at the points of relative depth; none where it does not run over depth, has too few numbers, or
/// is constant.
fn ranks(profile: &Profile, name: &str) -> Option<Vec<f64>> {
    let values = at_points(profile, name, LEAST)?;
    // Ties have the mean of their ranks.
    let rank = |x: &f64| {
        let below = values.iter().filter(|other| *other < x).count() as f64;
        below + values.iter().filter(|other| *other == x).count() as f64 / 2.0
    };
    let ranks: Vec<f64> = values.iter().map(rank).collect();
    let mean = ranks.iter().sum::<f64>() / POINTS as f64;
    let variance = ranks.iter().map(|rank| (rank - mean).powi(2)).sum::<f64>() / POINTS as f64;
    (variance > 0.0).then(|| ranks.iter().map(|rank| (rank - mean) / variance.sqrt()).collect())
}

/// A curve at the points of relative depth, between layers on the line between them; none where it has fewer than `least` numbers,
/// two at least.
pub(super) fn at_points(profile: &Profile, name: &str, least: usize) -> Option<Vec<f64>> {
    let curve = profile.curve_or_derived(name)?;
    let n_layers = curve.axis.n_layers()? as f64;
    let place = |(index, value): (usize, &f64)| {
        Some(((curve.axis.depth(index)? + 0.5) / n_layers, *value)).filter(|(_, value)| value.is_finite())
    };
    let known: Vec<(f64, f64)> = curve.mean.iter().enumerate().filter_map(place).collect();
    if known.len() < least {
        return None;
    }
    let at = |point: usize| {
        let depth = (point as f64 + 0.5) / POINTS as f64;
        let after = known.iter().position(|(at, _)| *at >= depth).unwrap_or(known.len() - 1).max(1);
        let ((x0, y0), (x1, y1)) = (known[after - 1], known[after]);
        let share = ((depth - x0) / (x1 - x0)).clamp(0.0, 1.0);
        y0 + (y1 - y0) * share
    };
    Some((0..POINTS).map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::profile;

    /// Large at both ends, with noise of its own.
    fn bath(n: usize, shift: usize, seed: u64) -> Profile {
        let mut state = seed;
        let value = |layer: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let noise = (state >> 40) as f64 / (1u64 << 24) as f64;
            let depth = ((layer + shift) % n) as f64 / n as f64;
            4.0 * (-8.0 * depth).exp() + 2.0 * (-8.0 * (1.0 - depth)).exp() + 0.1 * noise
        };
        let values: Vec<f64> = (0..n).map(value).collect();
        profile(n, &[("delete_kl", &values), ("block_influence", &values)])
    }

    #[test]
    fn curves_of_one_shape_are_aligned_at_any_depth() {
        let models = [bath(12, 0, 1), bath(24, 0, 2), bath(30, 0, 3)];
        let found = alignments(&models.each_ref(), &["delete_kl", "block_influence", "absent"]);
        assert_eq!(
            found.iter().map(|it| it.curve.as_deref()).collect::<Vec<_>>(),
            [Some("delete_kl"), Some("block_influence"), None]
        );
        assert!(found.iter().all(|it| it.similarity > 0.7 && it.p_value < 0.02 && it.n_models == 3), "{found:?}");
    }

    #[test]
    fn curves_that_are_shifted_are_not_aligned() {
        let found = alignments(&[&bath(24, 0, 1), &bath(24, 12, 2)], &["delete_kl"]);
        assert!(found[0].p_value > 0.2, "{found:?}");
        assert!(alignments(&[&bath(24, 0, 1)], &["delete_kl"]).is_empty());
    }

    #[test]
    fn a_curve_is_itself() {
        let one = bath(24, 0, 1);
        let found = alignments(&[&one, &one], &["delete_kl"]);
        assert!((found[0].similarity - 1.0).abs() < 1e-9 && found[0].p_value < 0.05, "{found:?}");
    }
}
