//! The bootstrap over documents or windows: [`Draws`] of a profile's curves.

use std::borrow::Cow;
use std::collections::BTreeMap;

use stratigraph_profile::statistics::{ErrorUnit, Resampling, WindowErrors};
use stratigraph_profile::{Curve, Profile, ReplicateUnit};

use crate::random::Random;
use crate::reading::{MeanCurve, Means};
use crate::robust::mean;
use crate::signal::SignalSet;

/// The curves that the rule reads, with the means of their windows.
pub(crate) struct Draws<'a> {
    curves: Vec<(&'a str, Cow<'a, Curve>)>,
    /// Windows of the corpus.
    n_windows: usize,
    /// What the windows' errors are over, which is what is drawn.
    errors: WindowErrors,
    resampling: Resampling,
}

impl<'a> Draws<'a> {
    /// Of the curves of a profile that the signals read.
    pub(crate) fn new(profile: &'a Profile, set: &'a SignalSet) -> Self {
        let names = set.signals.iter().map(|signal| signal.curve.as_str());
        let curve = |name: &'a str| Some((name, profile.curve_or_derived(name).filter(|curve| !curve.is_empty())?));
        let errors = profile.corpus.window_errors();
        let (n_windows, resampling) = (profile.corpus.n_sequences, errors.resampling());
        Self { curves: names.filter_map(curve).collect(), n_windows, errors, resampling }
    }

    /// The curves as they are.
    pub(crate) fn means(&self) -> Means<'_> {
        self.with(|curve| curve.mean.clone())
    }

    /// Whether there are windows to draw: a curve has the means of all windows of the corpus, two at least. Pairs alone are
    /// not enough, since they belong to one kind of evidence.
    pub(crate) fn is_possible(&self) -> bool {
        self.curves.iter().any(|(_, curve)| curve.n_windows() == Some(self.n_windows))
    }

    /// How the corpus is resampled, in words: by document, or in blocks of neighbouring windows.
    pub(crate) fn resampled(&self) -> String {
        match self.errors.basis() {
            Some(basis) if basis.over == ErrorUnit::Documents => format!("{} documents", basis.n),
            _ => {
                let (n, block) = (self.n_windows, Resampling::block_length(self.n_windows));
                format!("{n} windows, in blocks of {block}")
            }
        }
    }

    /// The means of as many documents drawn with replacement, or of as many windows in blocks of neighbours, the same for all
    /// curves of windows; pairs are drawn by themselves, by word. A curve without either (of weights) stays.
    pub(crate) fn draw(&self, random: &mut Random) -> Means<'_> {
        let windows = self.resampling.draw(|n| random.below(n));
        let n_pairs = |curve: &Curve| curve.n_replicates().filter(|_| curve.replicate_unit == ReplicateUnit::Pairs);
        let kinds = self.curves.iter().filter_map(|(_, curve)| Some(((n_pairs(curve)?, &curve.clusters), curve)));
        let kinds: BTreeMap<_, _> = kinds.collect();
        let drawn = kinds.iter().map(|(kind, curve)| (*kind, curve.resampling().draw(|n| random.below(n))));
        let pairs: BTreeMap<_, Vec<usize>> = drawn.collect();
        self.with(|curve| match n_pairs(curve) {
            Some(n) => means_of(curve, &pairs[&(n, &curve.clusters)]),
            None if curve.n_windows() == Some(self.n_windows) => means_of(curve, &windows),
            None => curve.mean.clone(),
        })
    }

    fn with(&self, mean: impl Fn(&Curve) -> Vec<f64>) -> Means<'_> {
        let curves = self.curves.iter();
        curves.map(|(name, curve)| (*name, MeanCurve { axis: &curve.axis, mean: mean(curve) })).collect()
    }
}

/// The curve's mean over chosen replicates, by layer; points without replicates stay.
fn means_of(curve: &Curve, chosen: &[usize]) -> Vec<f64> {
    let over = |(whole, each): (&f64, &Vec<f64>)| match each.is_empty() {
        true => *whole,
        false => mean(chosen.iter().map(|&index| each[index])).unwrap_or(f64::NAN),
    };
    curve.mean.iter().zip(&curve.replicates).map(over).collect()
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Axis, CorpusRecord, ModelRecord, Unit};

    use super::*;
    use crate::{Rule, Signal};

    /// Three windows of the corpus and three pairs, each of which gives its number.
    fn profile(n_sequences: usize) -> Profile {
        let mut profile = Profile::new(ModelRecord::new("m", 2, 8, 100), CorpusRecord::new("c", n_sequences, 8));
        for (name, axis, unit) in [
            ("delete_kl", Axis::layers(2), ReplicateUnit::Windows),
            ("swap_kl", Axis::adjacent_pairs(2), ReplicateUnit::Windows),
            ("wic_accuracy", Axis::residual_positions(2), ReplicateUnit::Pairs),
        ] {
            let replicates = vec![vec![0.0, 1.0, 5.0]; axis.len()];
            let curve = Curve::new(axis, Unit::Nats, vec![2.0; replicates.len()]).with_replicates(unit, replicates);
            profile = profile.with_curve(name, curve).unwrap();
        }
        profile
    }

    fn signals() -> SignalSet {
        SignalSet::new(Signal::standard(&Rule::default())).unwrap()
    }

    #[test]
    fn windows_are_drawn_together_and_pairs_by_themselves() {
        let profile = profile(3);
        let set = signals();
        let draws = Draws::new(&profile, &set);
        assert!(draws.is_possible());
        let mut random = Random::new(1);
        let drawn: Vec<Means> = (0..50).map(|_| draws.draw(&mut random)).collect();
        let first = |means: &Means, name: &str| means[name].mean[0];
        assert!(drawn.iter().all(|means| first(means, "delete_kl") == first(means, "swap_kl")));
        assert!(drawn.iter().any(|means| first(means, "delete_kl") != first(means, "wic_accuracy")));
        assert!(drawn.iter().any(|means| first(means, "wic_accuracy") != 2.0));
        let half = profile.select_windows(&[0, 1]).unwrap();
        assert_eq!((half.curves["delete_kl"].mean[0], half.curves["wic_accuracy"].mean[0]), (0.5, 2.0));
        assert!(profile.select_windows(&[3]).unwrap_err().to_string().contains("window 3"));
    }

    #[test]
    fn pairs_alone_or_windows_of_something_else_give_no_intervals() {
        let set = signals();
        assert!(!Draws::new(&profile(1), &set).is_possible());
        let mut pairs = profile(3);
        pairs.curves.retain(|name, _| name == "wic_accuracy");
        assert!(!Draws::new(&pairs, &set).is_possible());
    }
}
