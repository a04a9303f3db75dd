//! What experiments say about the stories of the stages.

mod common;

use common::QUIET;
use common::truth::known;
use stratigraph_profile::{Axis, Curve, Outcome, Profile, Segmentation, Stage, StoryCheck, Unit};
use stratigraph_stages::segment;

fn check<'a>(found: &'a Segmentation, curve: &str) -> &'a StoryCheck {
    found.stories.iter().find(|it| it.curve == curve).unwrap_or_else(|| panic!("{curve}: {found}"))
}

fn classes(difference: f64) -> Curve {
    let axis = Axis::labelled("class", ["prediction", "suppression"]);
    Curve::new(axis, Unit::Bits, vec![difference; 2]).with_sem(vec![Some(0.1); 2])
}

#[test]
fn stories_hold_or_are_refuted_by_two_errors() {
    let profile = |difference: f64| -> Profile {
        let known = known(24, QUIET, 1);
        let with = |profile: Profile, name: &str| profile.with_curve(name, classes(difference)).unwrap();
        with(with(known, "mean_neuron_sets_difference_kl"), "neuron_sets_difference_entropy_bits")
    };
    for (difference, outcome) in [(0.3, Outcome::Holds), (0.1, Outcome::Unclear), (-0.3, Outcome::Refuted)] {
        let found = segment(&profile(difference));
        assert_eq!(check(&found, "mean_neuron_sets_difference_kl").outcome, outcome);
        let entropy =
            found.stories.iter().find(|it| it.stage == Some(Stage::ResidualSharpening) && it.claim.contains("entropy"));
        assert_eq!(entropy.unwrap().outcome, outcome, "zeroing stands in for mean ablation");
    }
}

#[test]
fn words_are_compared_window_by_window() {
    let mut profile = known(24, QUIET, 1);
    let found = segment(&profile);
    let words = check(&found, "knock_out_words_kl");
    assert_eq!((words.outcome, words.stage), (Outcome::Holds, Some(Stage::Detokenization)), "{}", words.text);
    // Knocking out attention within words costs less in the first layers than later.
    let curve = profile.curves.get_mut("knock_out_words_kl").unwrap();
    curve.mean.reverse();
    curve.replicates.reverse();
    let found = segment(&profile);
    assert_eq!(check(&found, "knock_out_words_kl").outcome, Outcome::Refuted, "{found}");
}

#[test]
fn what_was_not_measured_is_said() {
    let mut profile = known(24, QUIET, 1);
    profile.curves.remove("knock_out_words_kl");
    let found = segment(&profile);
    for curve in ["knock_out_words_kl", "lexical_damage", "mean_neuron_sets_difference_kl", "total_mlp"] {
        assert_eq!(check(&found, curve).outcome, Outcome::NotMeasured, "{curve}");
    }
    assert!(found.to_string().contains("total_mlp): not measured"), "{found}");
}

#[test]
fn removal_is_compared_with_the_floor() {
    let mut profile = known(24, QUIET, 1);
    profile.curves.get_mut("delete_kl").unwrap().sem = vec![Some(0.05); 24];
    let of_kl = |found: &Segmentation| {
        found.stories.iter().filter(|it| it.curve == "delete_kl").map(|it| it.outcome).collect::<Vec<_>>()
    };
    assert_eq!(of_kl(&segment(&profile)), [Outcome::Holds; 2]);
    profile.values.remove("unigram_loss");
    assert_eq!(of_kl(&segment(&profile)), [Outcome::NotMeasured; 2]);
}
