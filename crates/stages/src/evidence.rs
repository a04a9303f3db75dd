//! What each curve says of a stage, in words and numbers: [`evidence`].

use std::ops::Range;

use crate::reading::{View, Views, by_layer};
use crate::robust::{mean, median, rounded};
use crate::signal::{Expected, Reading, SIGNALS, Signal};
use crate::{Evidence, Measurement, Profile, Stage, Stand};

/// Under this part of full strength a curve speaks neither for nor against: a tenth.
const UNCLEAR: f64 = 0.1;

/// What the lack of a thing that often goes along with a stage counts, where to have it counts 1.
const LACK: f64 = 0.37;

/// The curves that the rule reads and the profile lacks.
pub(crate) fn missing(profile: &Profile) -> impl Iterator<Item = String> {
    SIGNALS.iter().filter(|signal| measured(signal, profile).is_none()).map(|signal| signal.curve.to_owned())
}

/// The curves that the rule reads and the profile has, from which it can read nothing.
pub(crate) fn unreadable(views: &Views, profile: &Profile) -> impl Iterator<Item = String> {
    let no_view = |signal: &&Signal| views.get(signal.curve).is_none() && measured(signal, profile).is_some();
    SIGNALS.iter().filter(no_view).map(|signal| signal.curve.to_owned())
}

/// The curve of a signal; none where it is absent or has no layer.
fn measured<'a>(signal: &Signal, profile: &'a Profile) -> Option<&'a [f64]> {
    profile.curves.get(signal.curve).map(|curve| &curve.mean[..]).filter(|mean| !mean.is_empty())
}

/// What every curve that has to do with a stage says about its being in `layers`.
pub(crate) fn evidence(stage: Stage, layers: Range<usize>, views: &Views, profile: &Profile) -> Vec<Evidence> {
    let speaks = |signal: &&'static Signal| signal.measurement.expected()[stage as usize] != Expected::Either;
    let told = |signal: &'static Signal| {
        let mut evidence = one(signal, stage, layers.clone(), views, profile);
        if views.get(signal.curve).is_some() {
            evidence.text += &aside(signal, layers.clone(), profile).unwrap_or_default();
        }
        evidence
    };
    SIGNALS.iter().filter(speaks).map(told).collect()
}

/// What has to be known to read the number: the sink dilutes all attention, and a probe that learnt nothing still has the
/// accuracy of the larger class.
fn aside(signal: &Signal, layers: Range<usize>, profile: &Profile) -> Option<String> {
    match signal.measurement {
        Measurement::Locality => {
            let sink = profile.curves.get("first_token_attention")?.mean.get(layers)?;
            Some(format!("; the first token takes {}", number(mean(sink.iter().copied())?)))
        }
        Measurement::Meaning => {
            let majority = Some(profile.values.get("wic_majority")?.mean).filter(|majority| majority.is_finite())?;
            Some(format!("; always answering alike gives {}", number(majority)))
        }
        _ => None,
    }
}

fn one(signal: &Signal, stage: Stage, layers: Range<usize>, views: &Views, profile: &Profile) -> Evidence {
    let words = |view| words(view, layers.clone(), profile);
    let (stand, strength, text) = match views.get(signal.curve) {
        None => match measured(signal, profile) {
            None => (Stand::Absent, 0.0, "not in the profile".to_owned()),
            Some(curve) => {
                let (n, all) = (curve.iter().filter(|value| value.is_finite()).count(), curve.len());
                (
                    Stand::Unclear,
                    0.0,
                    format!("cannot be read: {n} numbers in {all} places, for {} layers", views.n_layers),
                )
            }
        },
        Some(view) if view.silent => (Stand::Unclear, 0.0, format!("no layer stands out: {}", words(view))),
        Some(view) => {
            let shown = mean(view.shown[layers.clone()].iter().copied()).unwrap_or(0.0);
            let strength = match signal.measurement.expected()[stage as usize] {
                Expected::Always => shown,
                Expected::Rarely => -shown,
                // Half the layers of the stage do without it, so to lack it says less than to have it: ln(0.5 / 0.9)
                // against ln(0.5 / 0.1).
                Expected::Often | Expected::Either => shown.max(LACK * shown),
            };
            let stand = match strength {
                s if s > UNCLEAR => Stand::For,
                s if s < -UNCLEAR => Stand::Against,
                _ => Stand::Unclear,
            };
            (stand, strength, words(view))
        }
    };
    Evidence {
        signal: signal.curve.to_owned(),
        measurement: signal.measurement,
        stand,
        strength: rounded(strength),
        text,
    }
}

/// `layer 3`, or `layers 3-7`.
pub(crate) fn named(layers: &Range<usize>) -> String {
    match layers.len() {
        1 => format!("layer {}", layers.start),
        _ => format!("layers {}-{}", layers.start, layers.end.saturating_sub(1)),
    }
}

/// A number with three digits that matter, however large; `unknown` where there is none.
pub(crate) fn number(x: f64) -> String {
    match x.abs() {
        size if !size.is_finite() => "unknown".to_owned(),
        size if size >= 100.0 => format!("{x:.0}"),
        size if size >= 10.0 => format!("{x:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{x:.2}"),
        size if size >= 0.001 => format!("{x:.4}"),
        _ => format!("{x:.1e}"),
    }
}

/// What the curve has in these layers, in its own numbers: their plain mean, and the median over all layers.
fn words(view: &View, layers: Range<usize>, profile: &Profile) -> String {
    let (signal, spoken) = (view.signal, named(&layers));
    let Some(here) = mean(view.values[layers.clone()].iter().copied()) else {
        return format!("no number in {spoken}");
    };
    let curve = profile.curves.get(signal.curve).map_or(&[][..], |curve| &curve.mean);
    let raw = by_layer(signal, curve, view.values.len()).unwrap_or_default();
    let value = raw.get(layers.clone()).and_then(|raw| mean(raw.iter().copied())).unwrap_or(f64::NAN);
    let (value, unit) = (number(value), signal.unit);
    let on_average = if layers.len() == 1 { "" } else { " on average" };
    match signal.reading {
        Reading::High(_) | Reading::Low(_) => {
            let (median, z) = (number(median(&raw).unwrap_or(f64::NAN)), view.majority.z(here));
            format!("{value}{unit} in {spoken}{on_average}, {median} in the median layer (robust z {z:+.1})")
        }
        Reading::NearPeak => {
            let finite = raw.iter().enumerate().filter(|(_, value)| value.is_finite());
            let peak = finite.max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
            let most = peak.map(|(layer, most)| format!(", most in layer {layer} ({most:.0})")).unwrap_or_default();
            format!("{value}{unit} in {spoken}{on_average}{most}")
        }
        Reading::Approach => {
            let way = if here < 0.0 { "away from" } else { "towards" };
            let go = if layers.len() == 1 { "goes" } else { "go" };
            format!("{spoken} {go} {} even shares {way} the output's{on_average}", number(here.abs()))
        }
    }
}
