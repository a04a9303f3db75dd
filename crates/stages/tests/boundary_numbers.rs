//! Where a boundary is placed, and how it is described.

mod common;

use common::truth::Truth;
use common::{LOUD, Layer, QUIET, Random, profile};
use stratigraph_profile::{Profile, Segmentation, Stage};
use stratigraph_stages::{Rule, Segmenter};

fn found_in(profile: &Profile) -> Segmentation {
    let mut rule = Rule::default();
    (rule.resamples, rule.permutations) = (100, 499);
    Segmenter::new(rule).segment(profile)
}

/// The numbers of a boundary are of the layers that are drawn on its sides.
#[test]
fn a_boundary_is_described_by_the_layers_that_are_drawn() {
    let mut told = 0;
    for seed in 0..20 {
        let mut truth = Truth::steps(30).with_widths([6.0, 8.0, 0.0]);
        truth.cuts[0] = 7;
        let found = found_in(&truth.profile(30, LOUD, seed));
        for (boundary, pair) in found.boundaries.iter().zip(found.stages.windows(2)) {
            for number in boundary.telling.iter().filter(|it| it.contains("layers ") && it.contains(" in layers ")) {
                let ends = [(pair[0].first, pair[0].end), (pair[1].first, pair[1].end)];
                let [before, after] = ends.map(|(first, end)| match end - first {
                    1 => format!(" in layer {first}"),
                    _ => format!(" in layers {first} to {}", end - 1),
                });
                let (at, behind) = (number.find(&before), number.rfind(&after));
                assert!(at.zip(behind).is_some_and(|(at, behind)| at < behind), "{seed}: {number}\n{found}");
                told += 1;
            }
        }
    }
    assert!(told > 40, "{told}");
}

#[test]
fn a_stage_that_is_given_up_does_not_move_the_boundary_before_it() {
    let mut given_up = 0;
    for seed in 0..20 {
        let mut random = Random(seed);
        let mut layers = Truth::steps(30).with_widths([0.0, 10.0, 0.0]).layers(30, QUIET, &mut random);
        // The last layers cannot be removed and promote many tokens, and nothing else tells them from prediction ensembling.
        let last = layers[27];
        for layer in &mut layers[28..] {
            *layer = Layer { sensitivity: 2.0, prediction: 1000.0, kurtosis: 20.0, ..last };
        }
        let found = found_in(&profile(&layers, QUIET, &mut random));
        let is_given_up = found.rejected.iter().any(|it| it.after == Stage::ResidualSharpening);
        let boundary = found.boundary(Stage::FeatureEngineering, Stage::PredictionEnsembling);
        if let Some(boundary) = boundary.filter(|_| is_given_up) {
            given_up += 1;
            let transition = boundary.transition.expect("it is fitted");
            assert!((transition.centre - 18.0).abs() <= 2.0, "{seed}: {transition:?} {found}");
            assert!(boundary.interval.is_some_and(|it| it.low <= 18 && 18 <= it.high), "{seed}: {boundary:?}");
        }
    }
    assert!(given_up >= 10, "{given_up} of 20");
}
