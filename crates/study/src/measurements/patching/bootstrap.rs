//! Percentile intervals of means over pairs: [`bootstrap_intervals`].

use stratigraph_core::SplitMix64;

/// Resamples of the pairs.
const RESAMPLES: usize = 2000;

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The 95 % interval of each point's mean, from the values `[point][pair]`: pairs are drawn with replacement, the same ones
/// for all points, and the interval reaches from the 2.5th to the 97.5th percentile of the means (B. Efron, *Nonparametric
/// standard errors and confidence intervals*, 1981).
pub(super) fn bootstrap_intervals(points: &[Vec<f64>], seed: u64) -> Vec<Interval> {
    let mut random = SplitMix64::new(seed);
    let n_pairs = points.first().map_or(0, Vec::len);
    let mut means = vec![Vec::with_capacity(RESAMPLES); points.len()];
    for _ in 0..RESAMPLES {
        let chosen: Vec<usize> = (0..n_pairs).map(|_| random.below(n_pairs)).collect();
        for (means, values) in means.iter_mut().zip(points) {
            means.push(chosen.iter().map(|&pair| values[pair]).sum::<f64>() / n_pairs as f64);
        }
    }
    let interval = |mut means: Vec<f64>| {
        means.sort_by(f64::total_cmp);
        Interval { low: quantile(&means, 0.025), high: quantile(&means, 0.975) }
    };
    means.into_iter().map(interval).collect()
}

/// A quantile of sorted values, with a line between neighbours.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_numpys() {
        let values = [1.0, 2.0, 4.0, 8.0];
        assert_eq!([0.0, 0.5, 1.0].map(|share| quantile(&values, share)), [1.0, 3.0, 8.0]);
        assert!((quantile(&values, 0.025) - 1.075).abs() < 1e-12);
        assert_eq!(quantile(&[5.0], 0.975), 5.0);
    }

    /// The means of 400 normal numbers lie within 1.96 / 20 of 0 in 95 of 100 cases.
    #[test]
    fn intervals_are_those_of_a_normal_mean() {
        let mut random = SplitMix64::new(5);
        let values: Vec<f64> = (0..400).map(|_| random.normal()).collect();
        let mean = values.iter().sum::<f64>() / 400.0;
        let sd = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 400.0).sqrt();
        let [found] = bootstrap_intervals(&[values], 1)[..] else { panic!("one point") };
        let half = 1.96 * sd / 20.0;
        assert!((found.low - (mean - half)).abs() < 0.1 * half, "{found:?}, {mean} +- {half}");
        assert!((found.high - (mean + half)).abs() < 0.1 * half, "{found:?}, {mean} +- {half}");
    }

    #[test]
    fn a_seed_decides_everything_and_points_share_their_resamples() {
        let values: Vec<f64> = (0..9).map(|pair| (pair as f64 * 1.3).sin()).collect();
        let shifted = values.iter().map(|x| x + 1.0).collect();
        let found = bootstrap_intervals(&[values.clone(), shifted], 3);
        assert_eq!(found[..1], bootstrap_intervals(std::slice::from_ref(&values), 3)[..]);
        assert_ne!(found[..1], bootstrap_intervals(&[values], 4)[..]);
        assert!((found[1].low - found[0].low - 1.0).abs() < 1e-12);
        assert!((found[1].high - found[0].high - 1.0).abs() < 1e-12);
    }
}
