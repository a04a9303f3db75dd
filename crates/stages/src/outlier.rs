//! Layers that cannot be removed and stand among layers that can: [`outliers`].

use crate::evidence::number;
use crate::path::Path;
use crate::reading::{View, Views, by_layer};
use crate::robust::{Majority, median, rounded};
use crate::signal::{Reading, Unit};
use crate::{Outlier, Profile, Rule, Stage};

/// Layers outside the first and the last stage whose deletion costs far more than that of most, with what else they do.
/// Without stages the first and the last layer are left out, which are special in any network.
pub(crate) fn outliers(profile: &Profile, views: &Views, path: Option<&Path>, rule: &Rule) -> Vec<Outlier> {
    let Some(view) = views.get("delete_kl").or_else(|| views.get("delete_top1_agreement")) else { return Vec::new() };
    let n = views.n_layers;
    let inside = |layer: usize| match path.map(|path| Stage::ALL[path.stages[layer]]) {
        Some(stage) => matches!(stage, Stage::FeatureEngineering | Stage::PredictionEnsembling),
        None => layer > 0 && layer + 1 < n,
    };
    let others = others(profile, views, n);
    let costs = costs(profile, view, n);
    let outlier = |layer: usize| {
        let z = view.majority.z(view.values[layer]);
        (inside(layer) && z > rule.outlier).then(|| Outlier {
            layer,
            signal: view.signal.curve.to_owned(),
            z: rounded(z),
            reason: reason(layer, &costs, &others, rule),
        })
    };
    (0..n).filter_map(outlier).collect()
}

/// A number a layer on a log scale, and what it means where it stands out.
struct Other {
    means: &'static str,
    values: Vec<f64>,
    /// What stands in brackets: the numbers of a layer.
    told: Vec<String>,
}

fn others(profile: &Profile, views: &Views, n: usize) -> Vec<Other> {
    let mut others = Vec::new();
    if let Some(norms) = profile.curves.get("resid_norm").map(|curve| &curve.mean).filter(|norms| norms.len() == n + 1)
    {
        others.push(Other {
            means: "the norm of the residual stream jumps, as massive activations make it",
            values: norms.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect(),
            told: norms.windows(2).map(|pair| format!("{} to {}", number(pair[0]), number(pair[1]))).collect(),
        });
    }
    for (curve, means) in [
        ("mlp_out_norm", "its MLP writes far more than others"),
        ("cka_adjacent", "what comes out is unlike what goes in"),
        ("block_influence", "it turns the residual stream far"),
    ] {
        if let Some(view) = views.get(curve) {
            let told = raw(profile, view, n).into_iter().map(|value| format!("{curve} {}", number(value)));
            others.push(Other { means, values: view.values.clone(), told: told.collect() });
        }
    }
    others
}

/// A view's curve as it was measured, by layer.
fn raw(profile: &Profile, view: &View, n: usize) -> Vec<f64> {
    let curve = profile.curves.get(view.signal.curve).map_or(&[][..], |curve| &curve.mean);
    by_layer(view.signal, curve, n).unwrap_or_default()
}

/// What deleting each layer costs: the divergence, or the part of first choices that change.
fn costs(profile: &Profile, view: &View, n: usize) -> Vec<f64> {
    let rest = view.signal.reading == Reading::High(Unit::LogRest);
    raw(profile, view, n).into_iter().map(|value| if rest { 1.0 - value } else { value }).collect()
}

fn reason(layer: usize, costs: &[f64], others: &[Other], rule: &Rule) -> String {
    let strange = |other: &&Other| {
        let majority = Majority::of(&other.values, rule.outlier, rule.least_ratio.ln());
        majority.is_some_and(|majority| majority.z(other.values[layer]) > rule.outlier)
    };
    let told: Vec<String> =
        others.iter().filter(strange).map(|other| format!("{} ({})", other.means, other.told[layer])).collect();
    let times = costs[layer] / median(costs).unwrap_or(f64::NAN);
    let times =
        if times.is_finite() && times > 0.0 { format!("{} times", number(times)) } else { "far more than".into() };
    let why = if told.is_empty() { "no other curve tells why".to_owned() } else { told.join("; ") };
    format!("deleting it costs {times} what the median layer costs: {why}")
}
