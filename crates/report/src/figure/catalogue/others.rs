//! The curves that no plan shows: [`panels`], one for each metric, and one for each curve without a metric.

use std::collections::BTreeMap;

use stratigraph_profile::{Axis, Curve, Profile, catalogue};

use super::curves::{Described, Measured, is_bound, lines};
use super::groups::is_clean_by_group;
use super::plans::{MOST, PLANS, REPEATED};
use super::rows::has_rows;
use crate::figure::Panel;

/// Panels of every curve that has a number and that no plan shows.
pub(super) fn panels(profile: &Profile) -> Vec<Panel> {
    // Curves of one metric share a panel where they run over depth, and differences of it another.
    let mut groups: BTreeMap<(bool, String, bool), Vec<Described>> = BTreeMap::new();
    let is_elsewhere = |name: &str, curve: &Curve| {
        is_planned(name) || is_clean_by_group(name) || has_rows(name, curve) || is_bound(profile, name)
    };
    let others = profile.curves.iter().filter(|(name, curve)| !is_elsewhere(name, curve));
    for (name, _) in others {
        let Some(it) = Described::find(profile, name) else { continue };
        let metric = it.entry.metric.as_ref().filter(|_| it.curve.axis.n_layers().is_some());
        let metric = metric.filter(|metric| metric.unit == it.curve.unit && it.curve.title.is_none());
        let group = metric.map_or_else(|| (*name).clone(), |metric| metric.name.clone());
        let key = (metric.is_none(), group, it.entry.is_difference);
        groups.entry(key).or_default().push(it);
    }
    let panel = |curves: &[Described]| {
        let measured = Measured { curves: curves.to_vec(), references: Vec::new() };
        lines(None, &measured, &Measured::default())
    };
    groups.values().flat_map(|curves| curves.chunks(MOST)).filter_map(panel).collect()
}

/// Whether a plan shows the curve.
fn is_planned(name: &str) -> bool {
    let wanted = PLANS.iter().flat_map(|plan| plan.panels);
    let mut names = wanted.flat_map(|it| it.left.curves.iter().chain(it.right.curves));
    let repeated = catalogue::find(name).is_some_and(|entry| {
        let is_block = matches!(entry.axis.of(0), Axis::BlockStarts { .. });
        is_block
            && entry.group == catalogue::BLOCKS
            && entry.metric.is_some_and(|metric| REPEATED.contains(&metric.name.as_str()))
    });
    repeated || names.any(|planned| *planned == name)
}
