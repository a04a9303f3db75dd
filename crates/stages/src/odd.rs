//! Single layers that would move the end of the first or the last stage: [`odd_layers`].

use stratigraph_profile::Stage;

use crate::Rule;
use crate::path::{Path, Scores, best};
use crate::reading::{View, Views};
use crate::standard::REMOVAL;

/// The groups in which a layer that writes massive activations stands out, whatever stage it belongs to.
const MASSIVE: [&str; 3] = [REMOVAL, "geometry", "write"];

/// Layers at the inner end of the first or the last stage that are there by themselves:
///
/// - without the layer's own numbers the stage ends at least one other layer before it; or
/// - it is the innermost layer of the stage, and the signals that identify the stage, other than removal, geometry and writes,
///   are for the stage in its other layers and against it there.
pub(crate) fn odd_layers(views: &Views, rule: &Rule) -> Vec<usize> {
    let price = views.price(rule);
    let of = |stage: Stage| {
        let tells = |view: &View| view.signal.kind.characteristic_of.contains(&stage);
        views.scores(rule, |view| tells(view) && !MASSIVE.contains(&view.signal.group()))
    };
    let others = [of(Stage::Detokenization), of(Stage::ResidualSharpening)];
    let mut scores = views.scores(rule, |_| true);
    let mut odd = Vec::new();
    while let Some(layer) = next(&scores, &others, price) {
        scores[layer] = [0.0; 4];
        odd.push(layer);
        if odd.len() * 10 > views.n_layers {
            break;
        }
    }
    odd
}

fn next(scores: &Scores, others: &[Scores; 2], price: f64) -> Option<usize> {
    let n = scores.len();
    let path = best(scores, price, [true; 4]);
    let first = path.runs().first().filter(|run| run.stage == 0 && run.end < n).map(|run| run.end);
    let last = path.runs().last().filter(|run| run.stage == 3 && run.first > 0).map(|run| run.first);
    let is_known = |layer: &usize| scores[*layer] != [0.0; 4];
    let of_first = first.into_iter().flat_map(|end| (1..end).rev()).filter(is_known);
    let of_last = last.into_iter().flat_map(|start| start..n - 1).filter(is_known);
    let without = |layer: usize| -> Path {
        let mut fewer = scores.clone();
        fewer[layer] = [0.0; 4];
        best(&fewer, price, [true; 4])
    };
    // A stage that is not there without the layer was not moved by it.
    let ends_before = |layer: &usize| (1..*layer).contains(&without(*layer).cuts()[0]);
    let begins_after = |layer: &usize| (*layer + 2..n).contains(&without(*layer).cuts()[2]);
    let inner = |layers: std::ops::Range<usize>, at: usize, [stage, next]: [usize; 2]| {
        let others = &others[usize::from(stage == 3)];
        let for_it = |layer: usize| others[layer][stage] - others[layer][next];
        let rest: Vec<f64> = layers.filter(|&layer| layer != at).map(for_it).collect();
        let mean = rest.iter().sum::<f64>() / rest.len().max(1) as f64;
        (!rest.is_empty() && mean > 0.0 && for_it(at) < 0.0 && is_known(&at)).then_some(at)
    };
    let end_is_odd = || first.filter(|end| *end > 1).and_then(|end| inner(0..end, end - 1, [0, 1]));
    let start_is_odd = || last.filter(|start| *start + 1 < n).and_then(|start| inner(start..n, start, [3, 2]));
    let moved = of_first.into_iter().find(ends_before).or_else(|| of_last.into_iter().find(begins_after));
    moved.or_else(end_is_odd).or_else(start_is_odd)
}
