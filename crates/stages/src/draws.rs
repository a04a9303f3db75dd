//! The bootstrap over windows: [`Draws`] of a profile's curves.

use std::collections::{BTreeMap, BTreeSet};

use crate::random::Random;
use crate::reading::Means;
use crate::robust::mean;
use crate::signal::SIGNALS;
use crate::{Curve, Profile};

/// The curves that the rule reads, with the means of their windows.
pub(crate) struct Draws<'a> {
    curves: Vec<(&'a str, &'a Curve)>,
}

impl<'a> Draws<'a> {
    /// Of a profile.
    pub(crate) fn of(profile: &'a Profile) -> Self {
        let read = |name: &str| name == "resid_norm" || SIGNALS.iter().any(|signal| signal.curve == name);
        let curves = profile.curves.iter().filter(|(name, curve)| read(name) && !curve.is_empty());
        Self { curves: curves.map(|(name, curve)| (name.as_str(), curve)).collect() }
    }

    /// The curves as they are.
    pub(crate) fn means(&self) -> Means {
        self.curves.iter().map(|&(name, curve)| (name.to_owned(), curve.mean.clone())).collect()
    }

    /// Whether there is anything to draw from.
    pub(crate) fn is_possible(&self) -> bool {
        self.curves.iter().any(|(_, curve)| curve.n_windows().is_some())
    }

    /// The means of as many windows drawn with replacement. Curves of equally many windows are of the same ones and are
    /// drawn together; a curve without windows (of weights) stays.
    pub(crate) fn draw(&self, random: &mut Random) -> Means {
        let counts: BTreeSet<usize> = self.curves.iter().filter_map(|(_, curve)| curve.n_windows()).collect();
        let drawn: BTreeMap<usize, Vec<usize>> = counts.into_iter().map(|n| (n, random.draws(n))).collect();
        let of = |curve: &Curve| match curve.n_windows().map(|n| &drawn[&n]) {
            Some(chosen) => means_of(curve, chosen),
            None => curve.mean.clone(),
        };
        self.curves.iter().map(|&(name, curve)| (name.to_owned(), of(curve))).collect()
    }
}

/// The curve's mean over chosen windows, by layer.
fn means_of(curve: &Curve, chosen: &[usize]) -> Vec<f64> {
    let over = |windows: &Vec<f64>| mean(chosen.iter().map(|&window| windows[window])).unwrap_or(f64::NAN);
    curve.replicates.iter().map(over).collect()
}
