//! How a boundary is described.

mod common;

use common::LOUD;
use common::truth::Truth;
use stratigraph_profile::{Profile, Segmentation};
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
