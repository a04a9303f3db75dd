//! How certain a boundary is: [`interval`].

use stratigraph_profile::BoundaryInterval;

use crate::path::{Path, Run};
use crate::robust::rounded;
use crate::transition::Fit;

impl Path {
    /// The first layer of the later of two stages, where this division has both, one after the other.
    pub(crate) fn cut_between(&self, pair: &[Run]) -> Option<usize> {
        let runs = self.runs();
        let is_pair = |of: &&[Run]| of[0].stage == pair[0].stage && of[1].stage == pair[1].stage;
        runs.windows(2).find(is_pair).map(|of| of[1].first)
    }
}

/// The percentile interval of where the later stage begins in the resamples that have the boundary between the same two stages,
/// moved from the division's place to the fitted one, and widened to hold the estimate and the 95 % set of the fit.
pub(crate) fn interval(paths: &[Path], pair: &[Run], at: usize, rest: (Option<&Fit>, f64)) -> BoundaryInterval {
    let (fit, coverage) = rest;
    let moved = |cut: usize| (cut + at).saturating_sub(pair[1].first).clamp(1, pair[1].end);
    let mut cuts: Vec<usize> = paths.iter().filter_map(|path| path.cut_between(pair)).map(moved).collect();
    cuts.sort_unstable();
    let outside = ((1.0 - coverage) / 2.0 * cuts.len() as f64).floor() as usize;
    let outside = outside.min(cuts.len().saturating_sub(1) / 2);
    let fraction = |n: usize| rounded(n as f64 / paths.len() as f64);
    let (low, high) = match cuts.len() {
        0 => (at, at),
        n => (cuts[outside].min(at), cuts[n - 1 - outside].max(at)),
    };
    let (fit_low, fit_high) = fit.map_or((at, at), |fit| (fit.low.floor().max(0.0) as usize, fit.high.ceil() as usize));
    BoundaryInterval {
        low: low.min(fit_low),
        high: high.max(fit_high),
        frequency: fraction(cuts.len()),
        within_one: fraction(cuts.iter().filter(|cut| cut.abs_diff(at) <= 1).count()),
    }
}
