//! What the layers of a stage do, in one plain sentence: [`headline`].

use std::ops::Range;

use stratigraph_profile::{Axis, Profile, Stage};

use crate::removal::{keeps_first, preferred};
use crate::robust::median;
use crate::words::number;

/// The lenses, the better one first.
const LENSES: [(&str, &str); 2] = [("affine_lens_kl", "the affine lens"), ("lens_kl", "the logit lens")];

/// One sentence with numbers; empty where the profile does not have the curve that it is about.
pub(crate) fn headline(profile: &Profile, stage: Stage, layers: Range<usize>) -> String {
    let removal = removal(profile, layers.clone());
    let lens = || lens(profile, layers.clone());
    match stage {
        Stage::PredictionEnsembling => lens().or(removal),
        _ => removal.or_else(lens),
    }
    .unwrap_or_default()
}

fn named(layers: &Range<usize>) -> String {
    match layers.len() {
        1 => format!("layer {}", layers.start),
        _ => format!("one of layers {} to {}", layers.start, layers.end - 1),
    }
}

fn removal(profile: &Profile, layers: Range<usize>) -> Option<String> {
    let axis = Axis::layers(profile.model.n_layers);
    let measured = |name: &str| profile.curves.get(name).filter(|it| it.axis == axis && it.has_numbers());
    let (name, curve) = preferred(measured)?;
    let at = if keeps_first(name) { " at all positions but the first" } else { "" };
    let all = &curve.mean;
    let costs: Vec<f64> = all.get(layers.clone())?.iter().copied().filter(|cost| cost.is_finite()).collect();
    let (low, high) = costs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &x| (a.min(x), b.max(x)));
    let cost = match costs.len() {
        0 => return None,
        1 => number(low),
        _ => format!("{} to {}", number(low), number(high)),
    };
    let ordinary = number(median(all)?);
    Some(format!("Removing {}{at} costs {cost} nats (KL); the median layer costs {ordinary}.", named(&layers)))
}

fn lens(profile: &Profile, layers: Range<usize>) -> Option<String> {
    let axis = Axis::residual_positions(profile.model.n_layers);
    let measured = |(name, _): &&(&str, &str)| profile.curves.get(*name).is_some_and(|it| it.axis == axis);
    let (name, lens) = LENSES.iter().find(measured)?;
    let values = &profile.curves.get(*name)?.mean;
    let [from, to] = [layers.start, layers.end].map(|at| values.get(at).copied().filter(|it| it.is_finite()));
    let spoken = crate::words::layers(&layers);
    Some(format!("Over {spoken} {lens} comes from {} to {} nats of the output.", number(from?), number(to?)))
}
