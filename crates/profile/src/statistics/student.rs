//! Student's t: [`t_quantile`], [`t_p_value`].

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// Beyond these degrees of freedom the quantiles differ from the normal ones by less than 3e-4.
const MOST_DF: usize = 10_000;

/// The number that `|t|` of Student's distribution with `df` degrees of freedom stays below with the probability `confidence`;
/// NaN for no degrees of freedom.
///
/// ```
/// use stratigraph_profile::statistics::t_quantile;
/// assert!((t_quantile(0.95, 1) - 12.7062).abs() < 1e-4);
/// assert!((t_quantile(0.95, 30) - 2.0423).abs() < 1e-4);
/// ```
///
/// # Panics
/// When `confidence` is not between 0 and 1.
pub fn t_quantile(confidence: f64, df: usize) -> f64 {
    assert!(confidence > 0.0 && confidence < 1.0, "a confidence lies between 0 and 1, and {confidence} does not");
    if df == 0 {
        return f64::NAN;
    }
    let df = df.min(MOST_DF);
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if probability(middle, df) < confidence { low = middle } else { high = middle }
    }
    (df as f64).sqrt() * low.tan()
}

/// The two-sided p-value of a number with Student's distribution of `df` degrees of freedom: the probability that `|t|` is as large or
/// larger. NaN for no degrees of freedom.
///
/// ```
/// use stratigraph_profile::statistics::{t_p_value, t_quantile};
/// assert!((t_p_value(-t_quantile(0.95, 7), 7) - 0.05).abs() < 1e-9);
/// assert_eq!(t_p_value(0.0, 7), 1.0);
/// ```
pub fn t_p_value(t: f64, df: usize) -> f64 {
    if df == 0 {
        return f64::NAN;
    }
    let df = df.min(MOST_DF);
    (1.0 - probability((t.abs() / (df as f64).sqrt()).atan(), df)).clamp(0.0, 1.0)
}

/// The probability of `|t| < sqrt(df) tan(theta)`, by the finite series for whole degrees of freedom (Abramowitz and Stegun,
/// *Handbook of Mathematical Functions*, 26.7.3 and 26.7.4).
fn probability(theta: f64, df: usize) -> f64 {
    let (sin, cos) = theta.sin_cos();
    let is_odd = df % 2 == 1;
    if df == 1 {
        return FRAC_2_PI * theta;
    }
    let mut term = if is_odd { cos } else { 1.0 };
    let mut sum = term;
    for k in (2 + usize::from(is_odd)..=df - 2).step_by(2) {
        term *= cos * cos * (k - 1) as f64 / k as f64;
        sum += term;
    }
    if is_odd { FRAC_2_PI * (theta + sin * sum) } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let table = [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (10, 2.2281), (31, 2.0395)];
        for (df, expected) in table {
            assert!((t_quantile(0.95, df) - expected).abs() < 1e-4, "{df}");
        }
        assert!((t_quantile(0.99, 7) - 3.4995).abs() < 1e-4);
        assert!((t_quantile(0.95, 1_000_000) - 1.96).abs() < 1e-3);
        assert!(t_quantile(0.95, 0).is_nan() && t_p_value(1.0, 0).is_nan());
        for (t, df, p) in [(12.7062, 1, 0.05), (2.2281, 10, 0.05), (3.4995, 7, 0.01), (-5.0, 3, 0.015_392)] {
            assert!((t_p_value(t, df) - p).abs() < 1e-5, "{t} {df}");
        }
    }
}
