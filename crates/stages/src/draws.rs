//! The bootstrap over windows: [`Draws`] of a profile's curves.

use std::collections::{BTreeMap, BTreeSet};

use crate::random::Random;
use crate::reading::Means;
use crate::robust::mean;
use crate::signal::SIGNALS;
use crate::{Curve, Profile, Units};

/// The curves that the rule reads, with the means of their windows.
pub(crate) struct Draws<'a> {
    curves: Vec<(&'a str, &'a Curve)>,
    /// Windows of the corpus.
    n_windows: usize,
}

impl<'a> Draws<'a> {
    /// Of a profile.
    pub(crate) fn of(profile: &'a Profile) -> Self {
        let read = |name: &str| name == "resid_norm" || SIGNALS.iter().any(|signal| signal.curve == name);
        let curves = profile.curves.iter().filter(|(name, curve)| read(name) && !curve.is_empty());
        let curves = curves.map(|(name, curve)| (name.as_str(), curve)).collect();
        Self { curves, n_windows: profile.corpus.n_sequences }
    }

    /// The curves as they are.
    pub(crate) fn means(&self) -> Means {
        self.curves.iter().map(|&(name, curve)| (name.to_owned(), curve.mean.clone())).collect()
    }

    /// Whether there are windows to draw: a curve has the means of all windows of the corpus, two at least. Pairs alone are
    /// not enough, since they are of one measurement.
    pub(crate) fn is_possible(&self) -> bool {
        self.curves.iter().any(|(_, curve)| curve.n_windows() == Some(self.n_windows))
    }

    /// The means of as many windows drawn with replacement, the same for all curves of windows; pairs are drawn by themselves.
    /// A curve without either (of weights) stays.
    pub(crate) fn draw(&self, random: &mut Random) -> Means {
        let windows = random.draws(self.n_windows);
        let of_pairs = |curve: &Curve| curve.n_replicates().filter(|_| curve.units == Units::Pairs);
        let counts: BTreeSet<usize> = self.curves.iter().filter_map(|(_, curve)| of_pairs(curve)).collect();
        let pairs: BTreeMap<usize, Vec<usize>> = counts.into_iter().map(|n| (n, random.draws(n))).collect();
        let of = |curve: &Curve| match of_pairs(curve) {
            Some(n) => means_of(curve, &pairs[&n]),
            None if curve.n_windows() == Some(self.n_windows) => means_of(curve, &windows),
            None => curve.mean.clone(),
        };
        self.curves.iter().map(|&(name, curve)| (name.to_owned(), of(curve))).collect()
    }
}

/// The curve's mean over chosen replicates, by layer.
fn means_of(curve: &Curve, chosen: &[usize]) -> Vec<f64> {
    let over = |each: &Vec<f64>| mean(chosen.iter().map(|&index| each[index])).unwrap_or(f64::NAN);
    curve.replicates.iter().map(over).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three windows of the corpus and three pairs, each of which gives its number.
    fn profile(n_sequences: usize) -> Profile {
        let json = r#"{"model": {"name": "m", "n_layers": 1, "d_model": 8, "d_vocab": 100}, "device": "cpu", "versions": {},
            "corpus": {"name": "c", "n_sequences": 0, "seq_len": 8, "special_tokens": false}, "curves": {}}"#;
        let mut profile: Profile = serde_json::from_str(json).unwrap();
        profile.corpus.n_sequences = n_sequences;
        let curve = |units| Curve { mean: vec![2.0], sem: vec![None], replicates: vec![vec![0.0, 1.0, 5.0]], units };
        for name in ["delete_kl", "swap_kl"] {
            profile.curves.insert(name.into(), curve(Units::Windows));
        }
        profile.curves.insert("wic_accuracy".into(), curve(Units::Pairs));
        profile
    }

    #[test]
    fn windows_are_drawn_together_and_pairs_by_themselves() {
        let profile = profile(3);
        let draws = Draws::of(&profile);
        assert!(draws.is_possible());
        let mut random = Random::new(1);
        let drawn: Vec<Means> = (0..50).map(|_| draws.draw(&mut random)).collect();
        assert!(drawn.iter().all(|means| means["delete_kl"] == means["swap_kl"]));
        assert!(drawn.iter().any(|means| means["delete_kl"] != means["wic_accuracy"]));
        assert!(drawn.iter().any(|means| means["wic_accuracy"] != [2.0]));
        let half = profile.of_windows(&[0, 1]);
        assert_eq!((half.curves["delete_kl"].mean[0], half.curves["wic_accuracy"].mean[0]), (0.5, 2.0));
    }

    #[test]
    fn pairs_alone_or_windows_of_something_else_give_no_intervals() {
        assert!(!Draws::of(&profile(1)).is_possible());
        let mut pairs = profile(3);
        pairs.curves.retain(|name, _| name == "wic_accuracy");
        assert!(!Draws::of(&pairs).is_possible());
    }
}
