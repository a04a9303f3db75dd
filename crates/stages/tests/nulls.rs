//! Profiles without stages: how often any are found.

mod common;

use common::nulls::{Make, NULLS, from_shapes};
use common::truth::Truth;
use common::{LOUD, QUIET, Random, profile};
use rayon::prelude::*;
use stratigraph_profile::{Estimate, Segmentation, Verdict};
use stratigraph_stages::{Rule, Segmenter};

/// The default with fewer draws and orders, for speed.
fn rule() -> Rule {
    let mut rule = Rule::default();
    (rule.resamples, rule.permutations) = (60, 199);
    rule
}

const DEPTHS: [usize; 4] = [6, 12, 30, 60];
const SEEDS: u64 = 40;

/// The profiles of a kind in which something is found that should be rare.
fn found(make: Make, wrong: fn(&Segmentation) -> bool) -> Vec<String> {
    let all: Vec<(usize, u64)> = DEPTHS.iter().flat_map(|&n| (0..SEEDS).map(move |seed| (n, seed))).collect();
    let found = |(n, seed): (usize, u64)| {
        let noise = if seed % 2 == 0 { QUIET } else { LOUD };
        let found = Segmenter::new(rule()).segment(&make(n, noise, &mut Random(7919 * seed + n as u64)));
        wrong(&found).then(|| format!("{n} layers, seed {seed}: {found}"))
    };
    all.into_par_iter().filter_map(found).collect()
}

/// Asserts that under 5 % of profiles of a kind come out so.
fn rare(kind: &str, make: Make, wrong: fn(&Segmentation) -> bool) {
    let (found, all) = (found(make, wrong), DEPTHS.len() * SEEDS as usize);
    assert!(found.len() * 20 < all, "{kind}: {} of {all}\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_kind_of_profile_without_stages_has_sharp_boundaries() {
    for (kind, make) in NULLS {
        rare(kind, make, |found| found.boundaries.iter().any(|boundary| boundary.is_sharp()));
    }
}

#[test]
fn noise_shuffled_layers_and_special_ends_have_no_stages() {
    for kind in ["white noise", "layers of staged profiles in random order", "two special end layers"] {
        let (_, make) = NULLS.into_iter().find(|(name, _)| *name == kind).unwrap();
        rare(kind, make, Segmentation::has_stages);
    }
}

#[test]
fn nothing_at_all() {
    rare("flat", |n, noise, random| from_shapes(n, noise, random, |n, _| vec![0.0; n]), Segmentation::has_stages);
}

#[test]
fn smooth_edges_are_gradients() {
    let (_, make) = NULLS.into_iter().find(|(name, _)| *name == "smooth drifts with edges").unwrap();
    let found = Segmenter::new(rule()).segment(&make(60, QUIET, &mut Random(2)));
    assert!(found.has_stages() && found.boundaries.iter().all(|it| !it.is_sharp()), "{found}");
}

#[test]
fn a_model_that_guesses_has_no_stages_of_inference() {
    let mut random = Random(1);
    let layers = Truth::steps(24).layers(24, QUIET, &mut random);
    let mut profile = profile(&layers, QUIET, &mut random);
    profile.values.clear();
    let unknown = Segmenter::new(rule()).segment(&profile);
    assert!(unknown.has_stages() && unknown.missing.contains(&"clean_nll".to_owned()), "{unknown}");
    // The uniform guess over 10,000 tokens costs 9.21 nats.
    profile.values.insert("clean_nll".into(), Estimate::exact(9.25));
    let found = Segmenter::new(rule()).segment(&profile);
    assert!(found.verdict == Verdict::NoStageStructure && found.reason.contains("9.21"), "{found}");
    assert!(found.reason.contains("is 9.25 nats") && !found.missing.contains(&"clean_nll".to_owned()), "{found}");
    profile.values.insert("clean_nll".into(), Estimate::exact(f64::NAN));
    assert!(Segmenter::new(rule()).segment(&profile).missing.contains(&"clean_nll".to_owned()));
    profile.values.insert("clean_nll".into(), Estimate::new(9.1, Some(0.1)));
    let found = Segmenter::new(rule()).segment(&profile);
    assert!(found.reason.contains("is 9.10 ± 0.10 nats"), "{found}");
    // A model of the frequencies of tokens beats more models than a uniform guess does.
    profile.values.insert("clean_nll".into(), Estimate::exact(6.5));
    assert!(Segmenter::new(rule()).segment(&profile).has_stages());
    profile.values.insert("unigram_loss".into(), Estimate::exact(6.4));
    let found = Segmenter::new(rule()).segment(&profile);
    assert!(found.reason.contains("how frequent each token is") && found.reason.contains("6.40"), "{found}");
    let mut any = rule();
    any.must_predict = false;
    assert!(Segmenter::new(any).segment(&profile).has_stages());
}
