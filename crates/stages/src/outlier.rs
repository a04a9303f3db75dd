//! Layers that cannot be removed among layers that can: [`outliers`].

use stratigraph_profile::{Axis, OutlierLayer, Profile, Stage, StageSpan};

use crate::reading::{View, Views, by_layer};
use crate::removal;
use crate::robust::{RobustScale, median, rounded};
use crate::words::number;
use crate::{ComparisonScale, Reading, Rule};

/// Layers outside the first and the last stage whose deletion costs far more than that of most layers, with what else they do.
/// Without stages the first and the last layer are left out, since they are special in any network.
pub(crate) fn outliers(profile: &Profile, views: &Views, spans: &[StageSpan], rule: &Rule) -> Vec<OutlierLayer> {
    let curves = removal::KL.into_iter().zip(removal::TOP1_AGREEMENT).flat_map(<[&str; 2]>::from);
    let Some(view) = curves.into_iter().find_map(|curve| views.get(curve)) else { return Vec::new() };
    let n = views.n_layers;
    let inside = |layer: usize| match spans.iter().find(|span| (span.first..span.end).contains(&layer)) {
        Some(span) => matches!(span.stage, Stage::FeatureEngineering | Stage::PredictionEnsembling),
        None => layer > 0 && layer + 1 < n,
    };
    let others = others(profile, views, n);
    let costs = costs(profile, view, n);
    let outlier = |layer: usize| {
        let z = view.robust.z(view.values[layer]);
        let is_end = layer == 0 || layer + 1 == n;
        let stands_out = z > rule.outlier || (views.odd.contains(&layer) && z > rule.stands_out);
        let reason = || reason(layer, &costs, &others, rule);
        let is_outlier = inside(layer) && !is_end && stands_out;
        is_outlier.then(|| OutlierLayer::new(layer, view.signal.curve.clone(), rounded(z), reason()))
    };
    (0..n).filter_map(outlier).collect()
}

/// Another curve on a log scale, and what it means where a layer stands out in it.
struct Other {
    means: &'static str,
    values: Vec<f64>,
    /// The numbers of each layer, in brackets.
    numbers: Vec<String>,
}

fn others(profile: &Profile, views: &Views, n: usize) -> Vec<Other> {
    let mut others = Vec::new();
    let norms = profile.curves.get("resid_norm").filter(|curve| curve.axis == Axis::residual_positions(n));
    if let Some(norms) = norms.map(|curve| &curve.mean).filter(|norms| norms.len() == n + 1) {
        others.push(Other {
            means: "the norm of the residual stream jumps, which is typical of massive activations",
            values: norms.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect(),
            numbers: norms.windows(2).map(|pair| format!("{} to {}", number(pair[0]), number(pair[1]))).collect(),
        });
    }
    for (curve, means) in [
        ("mlp_write_ratio", "its MLP writes far more than other MLPs, relative to the residual stream"),
        ("cka_adjacent", "its output is unlike its input"),
        ("block_influence", "it turns the residual stream by a large angle"),
    ] {
        if let Some(view) = views.get(curve) {
            let numbers = raw(profile, view, n).into_iter().map(|value| format!("{curve} {}", number(value)));
            others.push(Other { means, values: view.values.clone(), numbers: numbers.collect() });
        }
    }
    others
}

/// A view's curve as it was measured, by layer.
fn raw(profile: &Profile, view: &View, n: usize) -> Vec<f64> {
    let curve = profile.curve_or_derived(&view.signal.curve);
    curve.and_then(|curve| by_layer(&curve.axis, &curve.mean, n)).unwrap_or_default()
}

/// What deleting each layer costs: the divergence, or the fraction of top-1 predictions that change.
fn costs(profile: &Profile, view: &View, n: usize) -> Vec<f64> {
    let is_agreement = view.signal.reading == Reading::High(ComparisonScale::LogComplement);
    raw(profile, view, n).into_iter().map(|value| if is_agreement { 1.0 - value } else { value }).collect()
}

fn reason(layer: usize, costs: &[f64], others: &[Other], rule: &Rule) -> String {
    let strange = |other: &&Other| {
        let robust = RobustScale::new(&other.values, rule.outlier, rule.least_ratio.ln());
        robust.is_some_and(|robust| robust.z(other.values[layer]) > rule.outlier)
    };
    let found: Vec<String> =
        others.iter().filter(strange).map(|other| format!("{} ({})", other.means, other.numbers[layer])).collect();
    let times = costs[layer] / median(costs).unwrap_or(f64::NAN);
    let times =
        if times.is_finite() && times > 0.0 { format!("{} times", number(times)) } else { "far more than".into() };
    let why = if found.is_empty() { "no other curve shows why".to_owned() } else { found.join("; ") };
    format!("deleting it costs {times} what the median layer costs: {why}")
}
