//! Profiles without stages: how often any are found.

mod common;

use common::{LOUD, Noise, QUIET, Random, drift, from_shapes, in_random_order, profile, staged, walk, white};
use stratigraph_profile::{Estimate, Profile, Verdict};
use stratigraph_stages::{Rule, Segmenter};

/// The default with fewer draws and orders, for speed.
fn rule() -> Rule {
    let mut rule = Rule::default();
    (rule.resamples, rule.permutations) = (60, 199);
    rule
}

const DEPTHS: [usize; 4] = [6, 12, 30, 60];
const SEEDS: u64 = 40;

/// Asserts that under 5 % of profiles of a kind come out with stages.
fn rare(kind: &str, make: impl Fn(usize, Noise, &mut Random) -> Profile) {
    let mut found = Vec::new();
    for n in DEPTHS {
        for seed in 0..SEEDS {
            let noise = if seed % 2 == 0 { QUIET } else { LOUD };
            let profile = make(n, noise, &mut Random(7919 * seed + n as u64));
            let segmentation = Segmenter::new(rule()).segment(&profile);
            if segmentation.has_stages() {
                found.push(format!("{n} layers, seed {seed}: {segmentation}"));
            }
        }
    }
    let all = DEPTHS.len() * SEEDS as usize;
    assert!(found.len() * 20 < all, "{kind}: {} of {all}\n{}", found.len(), found.join("\n"));
}

#[test]
fn white_noise() {
    rare("white noise", |n, noise, random| from_shapes(n, noise, random, white));
}

#[test]
fn random_walks() {
    rare("random walks", |n, noise, random| from_shapes(n, noise, random, walk));
}

#[test]
fn drifts() {
    rare("drifts", |n, noise, random| from_shapes(n, noise, random, drift));
}

#[test]
fn nothing_at_all() {
    rare("flat", |n, noise, random| from_shapes(n, noise, random, |n, _| vec![0.0; n]));
}

#[test]
fn the_layers_of_a_staged_model_in_another_order() {
    rare("shuffled", in_random_order);
}

#[test]
fn a_model_that_guesses_has_no_stages_of_inference() {
    let mut random = Random(1);
    let layers = staged(24, [3, 14, 22], QUIET, &mut random);
    let mut profile = profile(&layers, QUIET, &mut random);
    let unknown = Segmenter::new(rule()).segment(&profile);
    assert!(unknown.has_stages() && unknown.missing.contains(&"clean_nll".to_owned()), "{unknown}");
    // The uniform guess over 1,000 tokens costs 6.91 nats.
    profile.values.insert("clean_nll".into(), Estimate::exact(6.95));
    let found = Segmenter::new(rule()).segment(&profile);
    assert!(found.verdict == Verdict::NoStageStructure && found.reason.contains("6.91"), "{found}");
    assert!(found.reason.contains("is 6.95 nats") && !found.missing.contains(&"clean_nll".to_owned()), "{found}");
    profile.values.insert("clean_nll".into(), Estimate::exact(f64::NAN));
    assert!(Segmenter::new(rule()).segment(&profile).missing.contains(&"clean_nll".to_owned()));
    profile.values.insert("clean_nll".into(), Estimate::new(6.8, Some(0.1)));
    let found = Segmenter::new(rule()).segment(&profile);
    assert!(found.reason.contains("is 6.80 ± 0.10 nats"), "{found}");
    let mut any = rule();
    any.must_predict = false;
    assert!(Segmenter::new(any).segment(&profile).has_stages());
}
