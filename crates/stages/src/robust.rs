//! Median and spread of most layers, however extreme the others are: [`RobustScale`].

/// The median and the spread of numbers, of which some may be extreme.
///
/// A few layers may be hundreds of times as sensitive as the rest without moving either. Numbers further than a cut from the
/// median, in spreads, are set aside and both taken again until none is left that far, or half are set aside (sigma
/// clipping with median and median absolute deviation). In an even drift no number is further than 1.35 spreads from the
/// median, since the largest distance is twice the median one, so nothing is set aside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RobustScale {
    /// The median.
    pub(crate) centre: f64,
    /// The median absolute deviation, scaled to be the standard deviation of a normal distribution.
    pub(crate) scale: f64,
}

/// Half of a normal distribution lies within 1 / 1.4826 standard deviations of its middle.
const NORMAL: f64 = 1.4826;

impl RobustScale {
    /// That of the finite `values`, with a spread of at least `least`; none if there are fewer than three.
    pub(crate) fn new(values: &[f64], cut: f64, least: f64) -> Option<Self> {
        let all = sorted(values);
        let mut kept = all.clone();
        let mut robust = Self::unclipped(&kept, least)?;
        loop {
            let ordinary: Vec<f64> = kept.iter().copied().filter(|&x| robust.z(x).abs() <= cut).collect();
            if ordinary.len() == kept.len() || 2 * ordinary.len() < all.len() || ordinary.len() < 3 {
                return Some(robust);
            }
            robust = Self::unclipped(&ordinary, least)?;
            kept = ordinary;
        }
    }

    /// That of all `values`, however far some lie; none if there are fewer than three.
    pub(crate) fn unclipped(values: &[f64], least: f64) -> Option<Self> {
        let n = values.len();
        if n < 3 {
            return None;
        }
        let centre = median(values)?;
        let distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
        Some(Self { centre, scale: (NORMAL * of_few(n) * median(&distances)?).max(least) })
    }

    /// How far `value` lies from the centre, in spreads; 0 where all is equal.
    pub(crate) fn z(&self, value: f64) -> f64 {
        if self.scale > 0.0 { (value - self.centre) / self.scale } else { 0.0 }
    }
}

/// Few numbers make the median deviation too small. The factors that correct it are those of Croux and Rousseeuw (COMPSTAT 1992):
/// simulated up to nine numbers, n / (n - 0.8) for more.
fn of_few(n: usize) -> f64 {
    const UP_TO_NINE: [f64; 7] = [1.495, 1.363, 1.206, 1.200, 1.140, 1.129, 1.107];
    n.checked_sub(3).and_then(|at| UP_TO_NINE.get(at).copied()).unwrap_or(n as f64 / (n as f64 - 0.8))
}

/// The finite numbers in order.
pub(crate) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The median of the finite numbers.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let n = sorted.len();
    (n > 0).then(|| (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0)
}

/// The mean of the finite numbers.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.filter(|value| value.is_finite()).fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

/// Rounded to four decimals, as it is written.
pub(crate) fn rounded(value: f64) -> f64 {
    let rounded = (value * 1e4).round() / 1e4;
    if rounded.is_finite() { rounded + 0.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_numbers_may_be_anything() {
        let quiet = RobustScale::new(&[1.0, 1.1, 0.9, 1.05, 0.95, 1.0], 2.5, 0.0).unwrap();
        let loud = RobustScale::new(&[1e3, 1.0, 1.1, 0.9, 1.05, 0.95, 1.0, 1e5, -1e4], 2.5, 0.0).unwrap();
        assert_eq!(quiet, loud);
    }

    #[test]
    fn no_number_of_an_even_drift_stands_out() {
        let drift: Vec<f64> = (0..40).map(f64::from).collect();
        let robust = RobustScale::new(&drift, 2.5, 0.0).unwrap();
        assert!(drift.iter().all(|&x| robust.z(x).abs() < 1.35), "{robust:?}");
    }

    #[test]
    fn equal_numbers_do_not_stand_out_and_two_are_too_few() {
        assert_eq!(RobustScale::new(&[2.0; 5], 2.5, 0.0).unwrap().z(2.0), 0.0);
        assert_eq!(RobustScale::new(&[2.0; 5], 2.5, 0.5).unwrap().z(3.0), 2.0);
        assert_eq!(RobustScale::new(&[1.0, f64::NAN, 2.0], 2.5, 0.0), None);
    }
}
