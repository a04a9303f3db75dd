//! The most telling numbers of a boundary: [`contrasts`] by group of signals, and [`numbers`] in words.

use std::ops::Range;

use stratigraph_profile::catalogue;

use crate::judge::Case;
use crate::reading::{View, Views, by_layer};
use crate::robust::{mean, median};
use crate::words::{layers, number};
use crate::{Reading, Rule};

/// How many numbers a boundary is described by.
const TOLD: usize = 3;

/// The two stages that a boundary is between, and the layers of each as they are drawn.
pub(crate) struct Sides {
    pub(crate) stages: [usize; 2],
    pub(crate) layers: [Range<usize>; 2],
}

/// How much the evidence of one group turns at a boundary.
pub(crate) struct Contrast<'a> {
    pub(crate) group: &'a str,
    index: usize,
    /// The mean log likelihood ratio of the earlier against the later stage, before the boundary minus that after it.
    pub(crate) nats: f64,
}

/// All groups, the one that turns most first.
pub(crate) fn contrasts<'a>(views: &Views<'a>, sides: &Sides, rule: &Rule) -> Vec<Contrast<'a>> {
    let [earlier, later] = sides.stages;
    let one = |index: usize| {
        let scores = views.scores(rule, |view| view.group == index);
        let ratio = |layer: usize| scores[layer][earlier] - scores[layer][later];
        let over =
            |range: Range<usize>| mean(range.filter(|layer| !views.odd.contains(layer)).map(ratio)).unwrap_or(0.0);
        let [before, after] = sides.layers.clone().map(over);
        let nats = before - after;
        Contrast { group: views.group_name(index), index, nats }
    };
    let mut all: Vec<Contrast> = views.informative().into_iter().map(one).collect();
    all.sort_by(|a, b| b.nats.total_cmp(&a.nats));
    all
}

/// The first curve of each of the groups that turn most, before and after the boundary, in its own numbers.
pub(crate) fn numbers(case: &Case, contrasts: &[Contrast], sides: &Sides) -> Vec<String> {
    let turning = contrasts.iter().filter(|it| it.nats >= case.rule.least_contrast).take(TOLD);
    let told = turning.filter_map(|it| {
        let mut views = case.views.heard().filter(|view| view.group == it.index);
        let stages = sides.stages.map(|stage| stratigraph_profile::Stage::ALL[stage]);
        let view = views.find(|view| {
            let [before, after] = stages.map(|stage| view.signal.kind.expected(stage).probability(case.rule));
            before != after
        })?;
        told(case, view, sides.layers.clone())
    });
    told.collect()
}

fn told(case: &Case, view: &View, sides: [Range<usize>; 2]) -> Option<String> {
    let name = &view.signal.curve;
    let curve = case.profile.curve_or_derived(name)?;
    let label = catalogue::find(name).map_or_else(|| name.clone(), |entry| entry.title);
    let spoken = sides.clone().map(|side| layers(&side));
    if view.signal.reading == Reading::Approach {
        let steps = |side: Range<usize>| {
            let ends = curve.mean.get(side.start..=side.end)?;
            let steps: Vec<f64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
            median(&steps).map(number)
        };
        let [before, after] = sides.map(steps);
        let [there, here] = spoken;
        let (before, after) = (before?, after?);
        return Some(format!("{label}: {before} a layer in {there}, {after} a layer in {here} (medians)"));
    }
    let raw = by_layer(&curve.axis, &curve.mean, case.views.n_layers)?;
    let average = |side: Range<usize>| Some(number(mean(raw.get(side)?.iter().copied())?));
    let [before, after] = sides.map(average);
    let unit = crate::evidence::unit(name, &curve);
    let [there, here] = spoken;
    Some(format!("{label}: {}{unit} on average in {there}, {}{unit} in {here}", before?, after?))
}
