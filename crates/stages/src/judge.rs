//! From a division to its boundaries with bands, shape, test and verdict: [`boundaries`].

use std::ops::Range;

use stratigraph_profile::{Boundary, BoundaryTest, BoundaryVerdict, Profile, Shape, Stage, Transition};

use crate::boundary::interval;
use crate::columns::Columns;
use crate::conditional::holm;
use crate::jump::jump_p_value;
use crate::multiverse::Multiverse;
use crate::path::{Path, Run};
use crate::reading::Views;
use crate::robust::rounded;
use crate::telling::{self, Contrast, Sides};
use crate::transition::{Fit, fit};
use crate::trial::{Settled, Trial};
use crate::{Rule, words};

/// What a judgement of boundaries needs.
pub(crate) struct Case<'a, 'b> {
    pub(crate) rule: &'b Rule,
    pub(crate) profile: &'b Profile,
    pub(crate) views: &'b Views<'a>,
    pub(crate) trial: &'b Trial<'a>,
    pub(crate) settled: &'b Settled,
    pub(crate) multiverse: Option<&'b Multiverse>,
    /// Layers in which transitions are not fitted, beside those of a stage that was given up: those that stand out inside a stage.
    pub(crate) left_out: Vec<usize>,
}

/// A boundary whose place is known, with what was fitted there.
struct Placed<'p> {
    pair: &'p [Run],
    at: usize,
    fit: Option<Fit>,
    jump: f64,
    shape: Option<Shape>,
}

/// The boundaries of the division, at the places of the fitted transitions.
pub(crate) fn boundaries(case: &Case) -> Vec<Boundary> {
    let runs = case.settled.path.runs();
    let mut placed: Vec<Placed> = runs.windows(2).map(|pair| place(case, pair)).collect();
    let is_ordered = placed.windows(2).all(|pair| pair[0].at < pair[1].at);
    if !is_ordered {
        placed.iter_mut().for_each(|it| it.at = it.pair[1].first);
    }
    let drawn = case.trial.drawn_paths(case.settled.allowed);
    let p_values: Vec<f64> = placed.iter().map(|it| case.trial.conditional(it.pair)).collect();
    let adjusted = holm(&p_values);
    let tests = p_values.iter().zip(adjusted);
    let tests = tests.map(|(&p, adjusted)| BoundaryTest { p_value: rounded(p), adjusted: rounded(adjusted) });
    let sides = sides(&placed, case.views.n_layers);
    placed.iter().zip(sides).zip(tests).map(|((it, sides), test)| judged(case, (it, sides), test, &drawn)).collect()
}

/// The layers on both sides of each boundary, up to the places of the boundaries before and after it.
fn sides(placed: &[Placed], n_layers: usize) -> Vec<Sides> {
    let cuts: Vec<usize> = [0].into_iter().chain(placed.iter().map(|it| it.at)).chain([n_layers]).collect();
    let sides = |(it, cuts): (&Placed, &[usize])| Sides {
        stages: [it.pair[0].stage, it.pair[1].stage],
        layers: [cuts[0]..cuts[1], cuts[1]..cuts[2]],
    };
    placed.iter().zip(cuts.windows(3)).map(sides).collect()
}

fn place<'p>(case: &Case, pair: &'p [Run]) -> Placed<'p> {
    let given_up = &case.settled.given_up;
    let left_out: Vec<usize> = case.left_out.iter().chain(given_up).copied().collect();
    let columns = Columns::new(case.views, pair, &left_out, case.rule);
    let fit = fit(&columns, kept(pair, given_up), case.rule.smooth_width);
    let jump = fit.map_or(1.0, |fit| jump_p_value(&columns, fit.step));
    let shape = fit.map(|fit| shape(&fit, jump, (pair, case.rule)));
    // The division's place where the fit allows it, and otherwise the nearest that it allows.
    let at = match fit {
        Some(fit) if shape == Some(Shape::Sharp) => fit.step,
        Some(fit) => pair[1].first.clamp(fit.low.floor() as usize, fit.high.ceil() as usize),
        None => pair[1].first,
    };
    let mut at = at.clamp(pair[0].first + 1, pair[1].end - 1);
    // An odd layer belongs to the inside of the model, not to a stage at its end.
    let is_odd = |layer: usize| case.views.odd.contains(&layer);
    while pair[0].stage == 0 && at > 1 && is_odd(at - 1) {
        at -= 1;
    }
    while pair[1].stage == 3 && at + 1 < pair[1].end && is_odd(at) {
        at += 1;
    }
    Placed { pair, at, fit, jump, shape }
}

/// The layers of two stages without those at their ends that belong to a stage that was given up.
fn kept(pair: &[Run], given_up: &[usize]) -> Range<usize> {
    let is_kept = |layer: &usize| !given_up.contains(layer);
    let all = pair[0].first..pair[1].end;
    let first = all.clone().find(is_kept).unwrap_or(all.end);
    first..all.clone().rev().find(is_kept).map_or(first, |last| last + 1)
}

/// Whether the curves change in a step at the fitted place: predictions of left-out layers and the width have to agree. With a
/// single layer on one side a step cannot be told from a steep rise.
fn shape(fit: &Fit, jump: f64, (pair, rule): (&[Run], &Rule)) -> Shape {
    let sides = [fit.step.saturating_sub(pair[0].first), pair[1].end.saturating_sub(fit.step)];
    let (is_step, is_narrow) = (fit.step_loss <= 0.0, fit.width < rule.smooth_width);
    if !is_step && !is_narrow {
        Shape::Gradual
    } else if is_step && is_narrow && jump <= rule.significance && sides.iter().all(|&layers| layers >= 2) {
        Shape::Sharp
    } else {
        Shape::Unresolved
    }
}

fn judged(case: &Case, (placed, sides): (&Placed, Sides), test: BoundaryTest, drawn: &[Path]) -> Boundary {
    let Placed { pair, at, fit, jump, shape } = placed;
    let [before, after] = [pair[0].stage, pair[1].stage].map(|stage| Stage::ALL[stage]);
    let mut boundary = Boundary::new(before, after, *at);
    boundary.transition = fit.zip(*shape).map(|(fit, shape)| transition(&fit, *jump, shape));
    boundary.interval = (!drawn.is_empty()).then(|| interval(drawn, pair, *at, (fit.as_ref(), case.rule.coverage)));
    boundary.rules = case.multiverse.and_then(|multiverse| multiverse.band(pair, *at));
    boundary.test = Some(test);
    let contrasts = telling::contrasts(case.views, &sides, case.rule);
    let is_for = |it: &&Contrast| it.nats >= case.rule.least_contrast;
    boundary.groups = contrasts.iter().filter(is_for).map(|it| it.group.to_owned()).collect();
    let doubts = doubts(&boundary, case.rule);
    boundary.verdict = Some(if doubts.is_empty() { BoundaryVerdict::Supported } else { BoundaryVerdict::Weak });
    boundary.telling = telling::numbers(case, &contrasts, &sides);
    boundary.telling.extend(doubts);
    boundary
}

fn transition(fit: &Fit, jump: f64, shape: Shape) -> Transition {
    Transition {
        shape,
        centre: fit.centre,
        width: fit.width,
        width_low: fit.width_low,
        width_high: fit.width_high,
        step_loss: rounded(fit.step_loss),
        jump_p_value: rounded(jump),
    }
}

/// Why a boundary is not well established.
fn doubts(boundary: &Boundary, rule: &Rule) -> Vec<String> {
    let percent = |share: f64| (100.0 * share).round();
    let mut doubts = Vec::new();
    if let Some(test) = boundary.test.filter(|test| test.adjusted > rule.significance) {
        let p = words::number(test.adjusted);
        doubts.push(format!("its p-value within the two stages is {p} after Holm's correction"));
    }
    if boundary.groups.len() < 2 {
        doubts.push("fewer than two groups of signals change there clearly".to_owned());
    }
    if let Some(it) = boundary.interval.filter(|it| it.frequency < rule.least_support) {
        doubts.push(format!("only {} % of the resamples have it", percent(it.frequency)));
    }
    if let Some(it) = boundary.rules.filter(|it| it.frequency < rule.least_rules) {
        doubts.push(format!("only {} % of the rules that were tried have it", percent(it.frequency)));
    }
    doubts
}
