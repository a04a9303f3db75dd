//! How certain a boundary is: [`interval`].

use stratigraph_profile::BoundaryInterval;

use crate::path::{Path, Run};
use crate::robust::rounded;

/// Whether a division has the middles of two runs in different stages.
pub(crate) fn divides(path: &Path, pair: &[Run]) -> bool {
    let middle = |run: &Run| path.stages[(run.first + run.end - 1) / 2];
    middle(&pair[0]) != middle(&pair[1])
}

/// The percentile interval of where the earlier stage ends in the resamples, widened to contain the estimate.
pub(crate) fn interval(paths: &[Path], pair: &[Run], coverage: f64) -> BoundaryInterval {
    let (earlier, at) = (pair[0].stage, pair[1].first);
    let mut cuts: Vec<usize> = paths.iter().map(|path| path.cuts()[earlier]).collect();
    cuts.sort_unstable();
    let outside = ((1.0 - coverage) / 2.0 * cuts.len() as f64).floor() as usize;
    let outside = outside.min((cuts.len() - 1) / 2);
    let fraction = |n: usize| rounded(n as f64 / paths.len() as f64);
    let near = |path: &&Path| divides(path, pair) && path.cuts()[earlier].abs_diff(at) <= 1;
    BoundaryInterval {
        low: cuts[outside].min(at),
        high: cuts[cuts.len() - 1 - outside].max(at),
        frequency: fraction(paths.iter().filter(|path| divides(path, pair)).count()),
        within_one: fraction(paths.iter().filter(near).count()),
    }
}
