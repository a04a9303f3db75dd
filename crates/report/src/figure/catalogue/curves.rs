//! Panels of curves: those that a plan names, and repeated blocks, whose lengths are the user's.

use std::collections::BTreeMap;

use stratigraph_stages::{Curve, Profile};

use super::plans::{Axis, Wanted};
use crate::figure::{Horizontal, Lines, Panel, Point, Reference, Scale, Series, Side};

/// A panel of those curves that are there; `None` when there are none.
pub(super) fn panel(profile: &Profile, wanted: &Wanted) -> Option<Panel> {
    let left = side(profile, &wanted.left);
    let right = wanted.right.as_ref().and_then(|axis| side(profile, axis));
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, Some(right)),
        (Some(only), None) | (None, Some(only)) if !wanted.needs_both => (only, None),
        _ => return None,
    };
    let n_layers = profile.model.n_layers;
    let all = left.series.iter().chain(right.iter().flat_map(|side| &side.series));
    let between = all.flat_map(|series| series.points.first()).all(|point| point.at.starts_with("before"));
    let x = if between { Horizontal::places(n_layers) } else { Horizontal::layers(n_layers) };
    Some(Panel::Lines(Lines { title: wanted.title.to_owned(), x, left, right }))
}

/// The curves of one axis; `None` when not one of them has a number.
fn side(profile: &Profile, axis: &Axis) -> Option<Side> {
    let found = axis.curves.iter().filter_map(|(name, curve)| {
        let series = series(name, profile.curves.get(*curve)?, profile.model.n_layers);
        series.points.iter().any(|point| point.y.is_finite()).then_some(series)
    });
    let series: Vec<_> = found.collect();
    let references = axis.references.iter().filter_map(|(name, value)| reference(profile, name, value)).collect();
    let side = Side { label: axis.label.to_owned(), scale: axis.scale, series, references };
    (!side.series.is_empty()).then_some(side)
}

fn reference(profile: &Profile, name: &str, value: &str) -> Option<Reference> {
    let y = profile.values.get(value)?.mean;
    y.is_finite().then(|| Reference { name: format!("{name} {}", crate::text::Number(y)), y })
}

/// A curve with a number for each layer, for each place before, between and after them, or for each two neighbours.
pub(crate) fn series(name: &str, curve: &Curve, n_layers: usize) -> Series {
    let place = |index: usize| match curve.len() {
        len if len > n_layers => (index as f64 - 0.5, format!("before layer {index}")),
        len if len + 1 == n_layers => (index as f64 + 0.5, format!("layers {index} and {}", index + 1)),
        _ => (index as f64, format!("layer {index}")),
    };
    let point = |(index, &y): (usize, &f64)| {
        let (x, at) = place(index);
        let at = if index == n_layers { "after the last layer".to_owned() } else { at };
        Point { x, at, y, sem: curve.sem.get(index).copied().flatten() }
    };
    Series { name: name.to_owned(), points: curve.mean.iter().enumerate().map(point).collect() }
}

/// What repeating blocks of layers does: a panel for each of the metrics that are drawn.
pub(super) fn repeating(profile: &Profile) -> Vec<Panel> {
    let metrics = [
        ("entropy_bits", "Uncertainty", "entropy, bits"),
        ("nll", "Loss", "loss, nats"),
        ("kl", "KL from the unchanged model", "KL, nats"),
        ("top1_agreement", "The same first choice", "top-1 agreement"),
    ];
    let panel = |(metric, title, label): (&str, &str, &str)| {
        let series: Vec<_> = repeated(profile, metric).into_values().collect();
        let clean = format!("clean_{metric}");
        let references = reference(profile, "unchanged", &clean).into_iter().collect();
        let x = Horizontal { label: "first layer of the block".into(), ..Horizontal::layers(profile.model.n_layers) };
        let scale = match metric {
            "kl" => Scale::Log,
            "top1_agreement" => Scale::Share,
            _ => Scale::Linear,
        };
        let left = Side { label: label.to_owned(), scale, series, references };
        let lines = Lines { title: title.to_owned(), x, left, right: None };
        (!lines.left.series.is_empty()).then_some(Panel::Lines(lines))
    };
    metrics.into_iter().filter_map(panel).collect()
}

/// The curves of one metric, by the length of the block.
fn repeated(profile: &Profile, metric: &str) -> BTreeMap<usize, Series> {
    let found = profile.curves.iter().filter_map(|(name, curve)| {
        let (length, of) = name.strip_prefix("repeat_")?.split_once('_')?;
        let length = length.parse().ok().filter(|&length: &usize| of == metric && length > 0)?;
        let points = curve.mean.iter().enumerate().map(|(first, &y)| Point {
            x: first as f64,
            at: format!("layers {first} to {} twice", first.saturating_add(length - 1)),
            y,
            sem: curve.sem.get(first).copied().flatten(),
        });
        let series = Series { name: format!("blocks of {length}"), points: points.collect() };
        series.points.iter().any(|point| point.y.is_finite()).then_some((length, series))
    });
    found.collect()
}
