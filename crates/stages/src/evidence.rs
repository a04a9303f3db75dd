//! What each curve says about a stage, in words and numbers: [`evidence`].

use std::borrow::Cow;
use std::ops::Range;

use stratigraph_profile::{Curve, Evidence, Profile, Stage, Support, Unit, catalogue};

use crate::reading::{View, Views, by_layer};
use crate::robust::{mean, median, rounded};
use crate::signal::SignalSet;
use crate::words::{self, number};
use crate::{Expected, Reading, Signal};

/// Below this part of full strength a curve is neither for nor against: a tenth.
const UNCLEAR: f64 = 0.1;

/// The weight of the absence of a feature that often goes along with a stage, where its presence has weight 1.
const LACK: f64 = 0.37;

/// The curves that the rule reads and the profile lacks.
pub(crate) fn missing(set: &SignalSet, profile: &Profile) -> Vec<String> {
    let absent = set
        .signals
        .iter()
        .filter(|signal| measured(signal, profile).is_none() && replaced_by(set, signal, profile).is_none());
    absent.map(|signal| signal.curve.clone()).collect()
}

/// The curves that the rule reads and the profile has, but in a form that cannot be read.
pub(crate) fn unreadable(set: &SignalSet, views: &Views, profile: &Profile) -> Vec<String> {
    let no_view = |signal: &&Signal| {
        let is_there = measured(signal, profile).is_some() && replaced_by(set, signal, profile).is_none();
        is_there && views.get(&signal.curve).is_none()
    };
    set.signals.iter().filter(no_view).map(|signal| signal.curve.clone()).collect()
}

/// The curve of a signal; none where it is absent or has no value.
fn measured<'a>(signal: &Signal, profile: &'a Profile) -> Option<Cow<'a, Curve>> {
    profile.curve_or_derived(&signal.curve).filter(|curve| !curve.is_empty())
}

/// The signal that is read in place of another.
fn replaced_by<'a>(set: &'a SignalSet, signal: &Signal, profile: &Profile) -> Option<&'a Signal> {
    set.replacement(signal, |curve| profile.curve_or_derived(curve).is_some_and(|curve| !curve.is_empty()))
}

/// What every curve that has to do with a stage says about its having `layers`: first the kinds of evidence that the stage is
/// recognised by, each with the strongest support first.
pub(crate) fn evidence(set: &SignalSet, stage: Stage, layers: Range<usize>, read: (&Views, &Profile)) -> Vec<Evidence> {
    let concerns = |signal: &&Signal| {
        signal.kind.expected(stage) != Expected::Either && replaced_by(set, signal, read.1).is_none()
    };
    let one = |signal: &Signal| {
        let mut evidence = one(signal, stage, layers.clone(), read);
        if read.0.get(&signal.curve).is_some() {
            evidence.text += &aside(signal, layers.clone(), read.1).unwrap_or_default();
        }
        evidence
    };
    let mut all: Vec<Evidence> = set.signals.iter().filter(concerns).map(one).collect();
    let absent = |it: &Evidence| it.support == Support::Absent;
    all.sort_by(|a, b| {
        let order = absent(a).cmp(&absent(b)).then(b.characteristic.cmp(&a.characteristic));
        order.then(b.strength.total_cmp(&a.strength))
    });
    all
}

/// What a reader has to know about the number: the first token dilutes all attention, and a probe that learnt nothing still has
/// the accuracy of the larger class.
fn aside(signal: &Signal, layers: Range<usize>, profile: &Profile) -> Option<String> {
    match signal.curve.as_str() {
        "local_attention" => {
            let first = profile.curves.get("first_token_attention")?.mean.get(layers)?;
            Some(format!("; the first token, which is left out, takes {}", number(mean(first.iter().copied())?)))
        }
        "wic_accuracy" => {
            let majority = Some(profile.values.get("wic_majority")?.mean).filter(|majority| majority.is_finite())?;
            Some(format!("; the same answer to all pairs gives {}", number(majority)))
        }
        _ => None,
    }
}

fn one(signal: &Signal, stage: Stage, layers: Range<usize>, (views, profile): (&Views, &Profile)) -> Evidence {
    let text = |view| text(view, layers.clone(), profile);
    let (support, strength, text) = match (views.get(&signal.curve), measured(signal, profile)) {
        (None, None) => (Support::Absent, 0.0, "not in the profile".to_owned()),
        (None, Some(curve)) => {
            let n = curve.mean.iter().filter(|value| value.is_finite()).count();
            let (all, depth) = (curve.len(), views.n_layers);
            (Support::Unclear, 0.0, format!("cannot be read: {n} numbers among {all} values, for {depth} layers"))
        }
        (Some(view), _) if view.silent => (Support::Unclear, 0.0, format!("no layer stands out: {}", text(view))),
        (Some(view), _) => {
            let strength = strength(view, signal.kind.expected(stage), layers.clone());
            let support = match strength {
                s if s > UNCLEAR => Support::For,
                s if s < -UNCLEAR => Support::Against,
                _ => Support::Unclear,
            };
            (support, strength, text(view))
        }
    };
    let (signal, kind) = (signal.curve.clone(), &signal.kind);
    let (characteristic, kind) = (kind.characteristic_of.contains(&stage), kind.name.clone());
    Evidence { signal, kind, characteristic, support, strength: rounded(strength), text }
}

/// How clearly the layers show what is expected: from -1 to 1.
fn strength(view: &View, expected: Expected, layers: Range<usize>) -> f64 {
    let shown = mean(view.shown[layers].iter().copied()).unwrap_or(0.0);
    match expected {
        Expected::Always => shown,
        Expected::Rarely => -shown,
        // Half the layers of the stage do without it, so lacking it says less than having it: ln(0.5 / 0.9) against
        // ln(0.5 / 0.1).
        Expected::Often | Expected::Either => shown.max(LACK * shown),
    }
}

/// The curve in these layers, in its own numbers: their plain mean, and the median over all layers.
fn text(view: &View, layers: Range<usize>, profile: &Profile) -> String {
    let (signal, spoken) = (view.signal, words::layers(&layers));
    let Some(here) = mean(view.values[layers.clone()].iter().copied()) else {
        return format!("no number in {spoken}");
    };
    let curve = profile.curve_or_derived(&signal.curve);
    let raw =
        curve.as_deref().and_then(|curve| by_layer(&curve.axis, &curve.mean, view.values.len())).unwrap_or_default();
    let value = raw.get(layers.clone()).and_then(|raw| mean(raw.iter().copied())).unwrap_or(f64::NAN);
    let unit = curve.as_deref().map(|curve| unit(&signal.curve, curve)).unwrap_or_default();
    let value = number(value);
    let on_average = if layers.len() == 1 { "" } else { " on average" };
    match signal.reading {
        Reading::High(_) | Reading::Low(_) => {
            let (median, z) = (number(median(&raw).unwrap_or(f64::NAN)), view.robust.z(here));
            format!("{value}{unit} in {spoken}{on_average}, {median} in the median layer (robust z {z:+.1})")
        }
        Reading::NearPeak => format!("{value}{unit} in {spoken}{on_average}{}", peak(&raw)),
        Reading::Approach => {
            let bring = if layers.len() == 1 { "brings" } else { "bring" };
            let way = if here < 0.0 { "away from" } else { "closer to" };
            let pace = number(here.abs());
            format!("{spoken} {bring} it {way} its final value,{on_average} at {pace} times an even pace")
        }
    }
}

/// The text after a number of a curve in a sentence.
pub(crate) fn unit(name: &str, curve: &Curve) -> String {
    match &curve.unit {
        Unit::Nats | Unit::Bits | Unit::Other(_) => format!(" {}", curve.unit),
        Unit::Count => format!(" {}", catalogue::describe(name, curve).quantity),
        _ => String::new(),
    }
}

/// The layer with the largest value, and the value.
fn peak(raw: &[f64]) -> String {
    let finite = raw.iter().enumerate().filter(|(_, value)| value.is_finite());
    match finite.max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0))) {
        Some((layer, most)) if *most > 0.0 => format!("; layer {layer} has the most, {most:.0}"),
        Some(_) => "; no layer has any".to_owned(),
        None => String::new(),
    }
}
