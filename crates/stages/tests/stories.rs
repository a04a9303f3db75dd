//! What experiments say about the stories of the stages.

mod common;

use common::QUIET;
use common::truth::known;
use stratigraph_profile::statistics::{ErrorBasis, ErrorUnit};
use stratigraph_profile::{
    Axis, Curve, Estimate, Matrix, Outcome, Profile, ReplicateUnit, Segmentation, Stage, StoryCheck, Unit,
};
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
        let entropy = entropy.unwrap();
        assert_eq!(entropy.outcome, outcome, "zeroing stands in for mean ablation");
        assert_eq!(entropy.curve, "neuron_sets_difference_entropy_bits", "the curve that was read");
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

/// Windows that drift along the text are fewer than they seem: 0.35 with an independent error of 0.09, and a true one of 0.2 with
/// three degrees of freedom.
#[test]
fn neighbouring_windows_are_not_independent() {
    let mut profile = known(24, QUIET, 1);
    let n = profile.corpus.n_sequences;
    let drift = |window: usize| 0.5 * (std::f64::consts::PI * (window as f64 + 0.5) / n as f64).cos();
    let curve = profile.curves.get_mut("knock_out_words_kl").unwrap();
    for (layer, (mean, windows)) in curve.mean.iter_mut().zip(&mut curve.replicates).enumerate() {
        let is_first = f64::from(u8::from(layer < 3));
        *windows = (0..n).map(|window| is_first * (0.35 + drift(window))).collect();
        *mean = 0.35 * is_first;
    }
    let found = segment(&profile);
    let words = check(&found, "knock_out_words_kl");
    assert!(words.text.ends_with("difference 0.35 ± 0.20") && words.outcome == Outcome::Unclear, "{words:?}");
}

/// Two standard errors of a mean over three documents are no 95 % interval.
#[test]
fn few_units_decide_by_students_quantile() {
    let of = |basis: Option<ErrorBasis>| {
        let mut classes = classes(0.3);
        classes.errors = basis;
        let profile = known(24, QUIET, 1).with_curve("mean_neuron_sets_difference_kl", classes).unwrap();
        check(&segment(&profile), "mean_neuron_sets_difference_kl").outcome
    };
    let documents = |n| Some(ErrorBasis::new(ErrorUnit::Documents, n));
    assert_eq!([None, documents(3), documents(30)].map(of), [Outcome::Holds, Outcome::Unclear, Outcome::Holds]);
}

#[test]
fn what_was_not_measured_is_said() {
    let mut profile = known(24, QUIET, 1);
    let words = profile.curves.remove("knock_out_words_kl").unwrap();
    let other = profile.clone().with_curve("knock_out_words_nll", words).unwrap();
    assert_eq!(check(&segment(&other), "knock_out_words_nll").outcome, Outcome::Holds, "the curve that was read");
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

#[test]
fn what_one_layer_less_does_to_the_entropy_is_compared_with_the_unchanged_model() {
    let windows = |mean: f64| [0.9, 1.1].map(|by| by * mean).repeat(8);
    let curve = |axis: Axis, value: f64| {
        Curve::new(axis.clone(), Unit::Bits, vec![value; axis.len()])
            .with_replicates(ReplicateUnit::Windows, vec![windows(value); axis.len()])
    };
    for (without, outcome) in [(4.0, Outcome::Holds), (3.0, Outcome::Unclear), (2.0, Outcome::Refuted)] {
        let profile = known(24, QUIET, 1)
            .with_curve("lens_entropy_bits", curve(Axis::residual_positions(24), 3.0))
            .unwrap()
            .with_curve("delete_entropy_bits", curve(Axis::layers(24), without))
            .unwrap();
        let found = segment(&profile);
        assert_eq!(check(&found, "delete_entropy_bits").outcome, outcome, "{found}");
    }
}

/// Of each word one pair more, or two of three, are right after feature engineering; the others stay as they are.
#[test]
fn meaning_is_compared_pair_by_pair_over_words() {
    let words: Vec<usize> = (0..36).map(|pair| pair / 3).collect();
    let right = |better: bool| -> Vec<f64> {
        (0..36).map(|pair| f64::from(u8::from(pair % 3 == 0 || better && (pair % 3 == 1 || pair % 6 == 2)))).collect()
    };
    let profile = |late: bool| {
        let replicates: Vec<Vec<f64>> = (0..25).map(|at| right(late && at > 3)).collect();
        let mean = replicates.iter().map(|each| each.iter().sum::<f64>() / 36.0).collect();
        let curve = Curve::new(Axis::residual_positions(24), Unit::Fraction, mean)
            .with_replicates(ReplicateUnit::Pairs, replicates)
            .with_clusters(words.clone())
            .with_errors(ErrorBasis::new(ErrorUnit::Words, 12));
        known(24, QUIET, 1).with_curve("wic_accuracy", curve).unwrap()
    };
    let found = segment(&profile(true));
    let check_of = check(&found, "wic_accuracy");
    // Half of the words gain one pair of three, the others two: a mean of 0.5 and a standard deviation of 0.174 over 12 words.
    assert!(check_of.text.ends_with("difference 0.50 ± 0.0503"), "{check_of:?}");
    assert_eq!(
        (check_of.outcome, check(&segment(&profile(false)), "wic_accuracy").outcome),
        (Outcome::Holds, Outcome::Unclear)
    );
}

#[test]
fn a_head_attends_within_words_if_it_exceeds_the_largest_of_all_by_chance() {
    let profile = |errors: f64| {
        let cell = |at: usize| Estimate::new(if at == 3 { 0.1 * errors } else { 0.02 }, Some(0.1));
        let heads = Matrix::from_estimates(Axis::layers(24), Axis::heads(2), Unit::Fraction, (0..48).map(cell));
        let profile = known(24, QUIET, 1).with_matrix("merging_heads", heads).unwrap();
        profile.with_value("merging_heads_threshold", Estimate::exact(3.0))
    };
    for (errors, outcome) in [(4.0, Outcome::Holds), (2.5, Outcome::Unclear)] {
        let found = segment(&profile(errors));
        let merging = check(&found, "merging_heads");
        assert!(merging.outcome == outcome && merging.text.starts_with("head 1 of layer 1"), "{merging:?}");
    }
}
