//! How robust a model is, in one line for each sweep: [`Profile::headlines`].

use std::fmt;
use std::ops::Range;

use crate::{Curve, Profile};

/// The sweeps of the paper's headline, and their words.
const SWEEPS: [(&str, &str); 3] = [
    ("delete", "Deleting a layer"),
    ("delete_after_first", "Deleting a layer but for the first position"),
    ("swap", "Swapping two neighbouring layers"),
];

/// Quantiles of a number over a range of depth.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DepthQuantiles {
    /// The points of the axis.
    pub points: Range<usize>,
    /// The 10 % quantile over these points, linear between two of them.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The 90 % quantile.
    pub high: f64,
}

/// What a model keeps of its top-1 predictions under a sweep over depth: the paper's headline.
///
/// The paper says that models keep 72 to 95 % of their top-1 predictions, and its code compares the top-1 tokens of both runs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Headline {
    /// The sweep: `delete`, `delete_after_first` or `swap`.
    pub sweep: &'static str,
    /// Top-1 agreement with the unchanged model, over all points.
    pub all: DepthQuantiles,
    /// The same without the first and the last point, if more are left.
    pub inner: Option<DepthQuantiles>,
    /// The same over the points whose relative depth is between a quarter and three quarters, if there are any.
    pub middle: Option<DepthQuantiles>,
    /// Next-token accuracy over that of the unchanged model, over the points of `inner`, or of `all` where there is none.
    pub relative_accuracy: Option<DepthQuantiles>,
    /// What is done, in words.
    what: &'static str,
}

impl Profile {
    /// The headline of each sweep that has top-1 agreement: `delete`, `delete_after_first` and `swap`.
    ///
    /// ```
    /// use stratigraph_profile::{Axis, CorpusRecord, Curve, ModelRecord, Profile, Unit};
    ///
    /// let agreement = Curve::new(Axis::layers(4), Unit::Fraction, vec![0.125, 0.75, 0.75, 0.25]);
    /// let profile = Profile::new(ModelRecord::new("m", 4, 8, 100), CorpusRecord::new("c", 8, 16))
    ///     .with_curve("delete_top1_agreement", agreement)?;
    /// let headline = &profile.headlines()[0];
    /// assert_eq!((headline.all.median, headline.inner.as_ref().unwrap().median), (0.5, 0.75));
    /// assert!(headline.to_string().starts_with("Deleting a layer keeps 50 % of the top-1 predictions in the median"));
    /// # Ok::<(), stratigraph_profile::ProfileError>(())
    /// ```
    pub fn headlines(&self) -> Vec<Headline> {
        SWEEPS.iter().filter_map(|(sweep, what)| self.headline(sweep, what)).collect()
    }

    fn headline(&self, sweep: &'static str, what: &'static str) -> Option<Headline> {
        let agreement = self.curves.get(&format!("{sweep}_top1_agreement"))?;
        let n = agreement.len();
        let inner = 1..n.saturating_sub(1);
        let first = (0..n).find(|&point| is_middle(agreement, point)).unwrap_or(0);
        let middle = first..(first..n).find(|&point| !is_middle(agreement, point)).unwrap_or(n);
        let accuracy = || {
            let clean = self.values.get("clean_accuracy").filter(|clean| clean.mean > 0.0)?.mean;
            let curve = self.curves.get(&format!("{sweep}_accuracy")).filter(|curve| curve.len() == n)?;
            let points = if inner.is_empty() { 0..n } else { inner.clone() };
            quantiles(curve, points, |accuracy| accuracy / clean)
        };
        Some(Headline {
            sweep,
            all: quantiles(agreement, 0..n, |x| x)?,
            inner: quantiles(agreement, inner.clone(), |x| x),
            middle: quantiles(agreement, middle, |x| x),
            relative_accuracy: accuracy(),
            what,
        })
    }
}

/// Whether the middle of a point's layers is between a quarter and three quarters of the depth.
fn is_middle(curve: &Curve, point: usize) -> bool {
    let place = curve.axis.depth(point).zip(curve.axis.n_layers());
    place.is_some_and(|(depth, n_layers)| (0.25..=0.75).contains(&((depth + 0.5) / n_layers as f64)))
}

/// Quantiles of a function of a curve over some of its points; none where there is no point, or one without a number.
fn quantiles(curve: &Curve, points: Range<usize>, of: impl Fn(f64) -> f64) -> Option<DepthQuantiles> {
    let mut values: Vec<f64> = curve.mean.get(points.clone())?.iter().copied().map(of).collect();
    if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        let place = q * (values.len() - 1) as f64;
        let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
        below + (above - below) * place.fract()
    };
    Some(DepthQuantiles { points, low: quantile(0.1), median: quantile(0.5), high: quantile(0.9) })
}

impl fmt::Display for DepthQuantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, median, high] = [self.low, self.median, self.high].map(|share| (100.0 * share).round());
        write!(f, "{median} % ({low} to {high})")
    }
}

impl fmt::Display for Headline {
    /// One sentence; in brackets are the 10 % and the 90 % quantile.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| (100.0 * share).round();
        let DepthQuantiles { low, median, high, points } = &self.all;
        let [low, median, high] = [low, median, high].map(|share| percent(*share));
        let unit = if self.sweep == "swap" { "pair" } else { "layer" };
        write!(f, "{} keeps {median} % of the top-1 predictions in the median {unit} ({low} to {high}", self.what)?;
        write!(f, ", the 10 % and the 90 % quantile of all {})", points.len())?;
        if let Some(inner) = &self.inner {
            write!(f, "; without the first and the last {unit} {inner}")?;
        }
        if let Some(middle) = &self.middle {
            write!(f, "; in the middle half of the depth {middle}")?;
        }
        if let Some(accuracy) = &self.relative_accuracy {
            let where_ =
                if self.inner.is_some() { format!(" without the first and the last {unit}") } else { String::new() };
            write!(f, ". Next-token accuracy relative to the unchanged model{where_}: {accuracy}")?;
        }
        f.write_str(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Axis, CorpusRecord, Estimate, ModelRecord, Unit};

    fn profile(n_layers: usize) -> Profile {
        Profile::new(ModelRecord::new("m", n_layers, 8, 100), CorpusRecord::new("c", 8, 16))
    }

    #[test]
    fn ranges_and_quantiles_are_those_of_the_definition() {
        let values: Vec<f64> = (0..12).map(|layer| f64::from(layer) / 100.0).collect();
        let curve = |mean: Vec<f64>| Curve::new(Axis::layers(12), Unit::Fraction, mean);
        let profile = profile(12)
            .with_curve("delete_top1_agreement", curve(values.clone()))
            .and_then(|profile| profile.with_curve("delete_accuracy", curve(values)))
            .unwrap()
            .with_value("clean_accuracy", Estimate::exact(0.5));
        let headlines = profile.headlines();
        let [Headline { all, inner: Some(inner), middle: Some(middle), relative_accuracy: Some(relative), .. }] =
            &headlines[..]
        else {
            panic!("{headlines:?}")
        };
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
        // numpy.quantile(numpy.arange(12) / 100, [.1, .5, .9])
        near(all.low, 0.011);
        near(all.median, 0.055);
        near(all.high, 0.099);
        assert_eq!((all.points.clone(), inner.points.clone(), middle.points.clone()), (0..12, 1..11, 3..9));
        near(inner.low, 0.019);
        near(middle.median, 0.055);
        near(relative.median, 0.11);
        let sentence = headlines[0].to_string();
        let expected = "Deleting a layer keeps 6 % of the top-1 predictions in the median layer (1 to 10, the 10 % and the 90 % \
                        quantile of all 12); without the first and the last layer 6 % (2 to 9); in the middle half of the depth \
                        6 % (4 to 8). Next-token accuracy relative to the unchanged model without the first and the last layer: \
                        11 % (4 to 18).";
        assert_eq!(sentence, expected);
    }

    #[test]
    fn pairs_lie_between_their_layers() {
        let pairs = Curve::new(Axis::adjacent_pairs(8), Unit::Fraction, vec![0.5; 7]);
        let found = &profile(8).with_curve("swap_top1_agreement", pairs).unwrap().headlines()[0];
        // The pair of layers l and l + 1 has its middle at (l + 1) / 8 of the depth.
        assert_eq!(found.middle.as_ref().unwrap().points, 1..6);
        assert_eq!((found.inner.as_ref().unwrap().points.clone(), found.relative_accuracy.clone()), (1..6, None));
    }

    #[test]
    fn small_models_and_missing_numbers_give_what_there_is() {
        let curve = |mean: Vec<f64>| Curve::new(Axis::layers(mean.len()), Unit::Fraction, mean);
        let of =
            |mean: Vec<f64>| profile(mean.len()).with_curve("delete_top1_agreement", curve(mean)).unwrap().headlines();
        let two = of(vec![0.25, 0.75]);
        assert!(two[0].inner.is_none() && two[0].all.median == 0.5);
        assert_eq!(two[0].middle.as_ref().unwrap().points, 0..2);
        assert!(of(vec![0.5, f64::NAN, 0.5]).is_empty());
        assert!(of(Vec::new()).is_empty() && profile(3).headlines().is_empty());
    }
}
