//! Which figures a profile gives: [`figures`].

use stratigraph_stages::{Curve, Profile};

use super::{Figure, Panel, Point, Scale, Series};

/// The figures whose curves the profile has: `damage` (what deleting and swapping layers does) and `lens` (what the
/// residual stream predicts before each layer).
pub fn figures(profile: &Profile) -> Vec<Figure> {
    let (model, corpus) = (&profile.model.name, &profile.corpus);
    let on = format!("{model} on {} windows of {} tokens of {}", corpus.n_sequences, corpus.seq_len, corpus.name);
    let damage = Figure {
        name: "damage",
        caption: format!("What deleting a layer, or swapping it with the next, does to {on}"),
        panels: panels(
            profile,
            "layer",
            &[
                (
                    "KL from the unchanged model",
                    "KL, nats",
                    Scale::Log,
                    &[("delete", "delete_kl"), ("swap", "swap_kl")],
                ),
                (
                    "The same first choice",
                    "top-1 agreement",
                    Scale::Linear,
                    &[("delete", "delete_top1_agreement"), ("swap", "swap_top1_agreement")],
                ),
            ],
        ),
    };
    let lens = Figure {
        name: "lens",
        caption: format!("What the residual stream predicts before each layer of {on}"),
        panels: panels(
            profile,
            "before layer",
            &[
                ("Logit lens: KL from the model", "KL, nats", Scale::Log, &[("lens", "lens_kl")]),
                ("Logit lens: uncertainty", "entropy, bits", Scale::Linear, &[("lens", "lens_entropy_bits")]),
            ],
        ),
    };
    [damage, lens].into_iter().filter(|figure| !figure.panels.is_empty()).collect()
}

/// A heading, what runs upwards and how, and the curves by legend and name.
type Wanted<'a> = (&'static str, &'static str, Scale, &'a [(&'static str, &'static str)]);

/// The panels of which at least one curve is there.
fn panels(profile: &Profile, x_label: &'static str, wanted: &[Wanted<'_>]) -> Vec<Panel> {
    let panel = |&(title, y_label, scale, curves): &Wanted<'_>| {
        let found = curves.iter().filter_map(|(name, curve)| Some(series(name, profile.curves.get(*curve)?)));
        Panel { title, x_label, y_label, scale, series: found.collect() }
    };
    wanted.iter().map(panel).filter(|panel| !panel.series.is_empty()).collect()
}

fn series(name: &'static str, curve: &Curve) -> Series {
    let point = |(layer, &y): (usize, &f64)| Point { x: layer as f64, y, sem: curve.sem.get(layer).copied().flatten() };
    Series { name, points: curve.mean.iter().enumerate().map(point).collect() }
}
