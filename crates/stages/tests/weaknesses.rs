//! What a statistical review found wrong with an earlier rule, one test for each finding.

mod common;

use common::nulls::{NULLS, edges};
use common::truth::{Truth, cuts, known};
use common::{LOUD, QUIET, Random, profile};
use stratigraph_profile::{
    Axis, BoundaryVerdict, Curve, Estimate, Profile, ReplicateUnit, Segmentation, Shape, Stage, Support, Unit,
};
use stratigraph_stages::{Rule, Segmenter};

use Stage::{Detokenization as D, FeatureEngineering as F, PredictionEnsembling as P, ResidualSharpening as R};

/// The default with fewer draws and orders, for speed.
fn rule() -> Rule {
    let mut rule = Rule::default();
    (rule.resamples, rule.permutations) = (100, 499);
    rule
}

fn found_in(profile: &Profile) -> Segmentation {
    Segmenter::new(rule()).segment(profile)
}

/// A resample has a boundary only if it has it between the same two stages.
#[test]
fn a_resample_without_the_earlier_stage_does_not_have_its_boundary() {
    // Two thirds of the windows have no ensembling: their lens does not approach the output before the last layers.
    let mut profile = known(24, QUIET, 3);
    let (n, end) = (24, cuts(24)[2]);
    for name in ["lens_kl", "affine_lens_kl"] {
        let curve = profile.curves.get_mut(name).unwrap();
        for position in 0..=n {
            let late = if position < end { 12.0 } else { 12.0 * (n - position) as f64 / (n - end) as f64 };
            for window in 0..16 {
                curve.replicates[position][window] = if window % 3 > 0 { late } else { curve.mean[position] };
            }
            curve.mean[position] = curve.replicates[position].iter().sum::<f64>() / 16.0;
        }
    }
    let found = found_in(&profile);
    for boundary in &found.boundaries {
        let interval = boundary.interval.unwrap();
        assert!(interval.within_one <= interval.frequency, "{boundary:?}");
    }
    let (all, ensembling) = (found.boundary(D, F).unwrap(), found.boundary(F, P));
    assert_eq!(all.interval.unwrap().frequency, 1.0, "{found}");
    assert!(ensembling.is_none_or(|it| it.interval.unwrap().frequency < 1.0), "{found}");
}

/// Smooth edges are not steps, and their intervals are wider than a layer.
#[test]
fn smooth_profiles_have_no_steps() {
    for seed in 0..20 {
        let found = found_in(&edges(40, QUIET, &mut Random(seed)));
        for boundary in &found.boundaries {
            let (transition, interval) = (boundary.transition.unwrap(), boundary.interval.unwrap());
            assert_ne!(transition.shape, Shape::Sharp, "{seed}: {found}");
            assert!(interval.high > interval.low && transition.width_high > 0.0, "{seed}: {found}");
        }
    }
}

/// Every boundary has its own p-value, which is not that of the whole.
#[test]
fn every_boundary_has_its_own_test() {
    let found = found_in(&known(24, QUIET, 1));
    for boundary in &found.boundaries {
        let test = boundary.test.unwrap();
        assert!(test.p_value <= test.adjusted && test.adjusted <= 0.05, "{boundary:?}");
        assert_eq!(boundary.verdict, Some(BoundaryVerdict::Supported), "{boundary:?}");
    }
    // Twelve layers have too few orders for a stage of two layers: 1 of 21 at best, and Holm's correction.
    let found = found_in(&known(12, QUIET, 1));
    let boundary = found.boundary(D, F).unwrap();
    assert!(boundary.test.unwrap().adjusted > 0.05, "{found}");
    assert_eq!(boundary.verdict, Some(BoundaryVerdict::Weak), "{found}");
    assert!(boundary.telling.iter().any(|why| why.contains("Holm")), "{found}");
}

/// The choice of the rule has a band of its own.
#[test]
fn other_rules_have_a_band() {
    let mut truth = Truth::steps(30);
    (truth.cuts[0], truth.widths[0]) = (7, 6.0);
    let found = found_in(&truth.profile(30, LOUD, 5));
    assert!(!found.boundaries.is_empty());
    for boundary in &found.boundaries {
        let rules = boundary.rules.unwrap();
        // Three settings of four constants, with the one metric of the affine lens.
        assert_eq!(rules.n_rules, 81, "{boundary:?}");
        assert!(rules.low <= boundary.at && boundary.at <= rules.high && rules.frequency <= 1.0, "{boundary:?}");
    }
    assert!(
        found
            .boundaries
            .iter()
            .any(|it| it.rules.unwrap().frequency < 1.0 || it.rules.unwrap().low < it.rules.unwrap().high)
    );
}

/// The logit lens and the neurons share the unembedding: without a fitted lens ensembling rests on one group.
#[test]
fn one_basis_is_one_group() {
    let mut profile = known(24, QUIET, 1);
    assert!(found_in(&profile).boundary(F, P).is_some());
    profile.curves.remove("affine_lens_kl");
    let found = found_in(&profile);
    assert!(found.boundary(F, P).is_none(), "{found}");
    assert!(found.rejected.iter().any(|it| it.reason.contains("alone: unembedding")), "{found}");
    assert!(found.readings.iter().any(|it| it.contains("logit lens")), "{found}");
    assert!(found.missing.contains(&"affine_lens_kl".to_owned()), "{found}");
}

/// Twice as much as nearly nothing is nothing.
#[test]
fn a_removal_must_cost_something() {
    let mut profile = known(24, QUIET, 1);
    let small = |profile: &mut Profile| {
        for name in ["delete_kl", "swap_kl"] {
            let curve = profile.curves.get_mut(name).unwrap();
            curve.mean.iter_mut().for_each(|kl| *kl *= 0.02);
            curve.replicates.iter_mut().flatten().for_each(|kl| *kl *= 0.02);
        }
    };
    let floor = found_in(&profile).floor.unwrap();
    assert!((floor.nats - 0.1 * (7.0 - 3.5)).abs() < 1e-12);
    small(&mut profile);
    let strength = |profile: &Profile| {
        let found = found_in(profile);
        let first = found.stages.first().filter(|span| span.stage == D)?;
        Some(first.evidence.iter().find(|it| it.signal == "delete_kl")?.support)
    };
    assert_ne!(strength(&profile), Some(Support::For));
    profile.values.remove("unigram_loss");
    assert_eq!(strength(&profile), Some(Support::For));
    assert!(found_in(&profile).missing.contains(&"unigram_loss".to_owned()));
}

/// Windows that follow one another are alike, so that they are drawn in blocks.
#[test]
fn neighbouring_windows_are_drawn_together() {
    let found = found_in(&known(24, QUIET, 1));
    assert!(found.readings.iter().any(|it| it.contains("16 windows, in blocks of 3")), "{found}");
}

/// A fitted lens is read in place of the logit lens.
#[test]
fn a_mismatch_of_bases_is_not_the_absence_of_a_prediction() {
    // The logit lens is far from the output up to the last layers; the fitted lens approaches from layer 14 on.
    let mut profile = known(24, QUIET, 1);
    for name in ["lens_kl", "lens_top1_agreement"] {
        let lens = profile.curves.get_mut(name).unwrap();
        lens.replicates.clear();
        (0..=24).for_each(|at| lens.mean[at] = if at < 23 { 17.0 } else { 17.0 * (24 - at) as f64 });
    }
    let found = found_in(&profile);
    assert_eq!(found.boundary(F, P).map(|it| it.at), Some(cuts(24)[1]), "{found}");
    assert!(found.readings.iter().any(|it| it.contains("affine lens")), "{found}");
}

/// A layer right after detokenization that cannot be removed for another reason does not move its end.
#[test]
fn an_odd_layer_does_not_move_a_boundary() {
    for (odd, expected) in
        [(cuts(24)[0], "an interval"), (cuts(24)[0] + 1, "an interval"), (cuts(24)[2] - 1, "an interval")]
    {
        for seed in 0..5 {
            let found = found_in(&Truth::steps(24).with_outlier(odd).profile(24, QUIET, seed));
            let at: Vec<usize> = found.boundaries.iter().map(|boundary| boundary.at).collect();
            assert!(
                at.len() == 3 && at.iter().zip(cuts(24)).all(|(at, cut)| at.abs_diff(cut) <= 1),
                "{odd} {seed}: {found}"
            );
            let holds = found
                .boundaries
                .iter()
                .zip(cuts(24))
                .all(|(it, cut)| it.interval.is_some_and(|interval| (interval.low..=interval.high).contains(&cut)));
            assert!(holds, "{odd} {seed}: {expected} misses: {found}");
            assert!(found.outliers.iter().any(|it| it.layer == odd), "{odd} {seed}: {found}");
        }
    }
}

/// Curves that go together do not make change points by themselves.
#[test]
fn correlated_noise_has_no_change_points() {
    let with_points = (0..100).filter(|&seed| {
        let mut random = Random(seed);
        let shared: Vec<f64> = (0..24).map(|_| random.normal()).collect();
        let mut profile = known(24, QUIET, seed);
        profile.curves.clear();
        for name in ["delete_kl", "block_influence", "mlp_write_ratio", "attn_write_ratio", "local_attention"] {
            let value = |z: &f64| (0.7 * z + 0.3 * random.normal()).exp() * 0.1;
            let mean = shared.iter().map(value).collect();
            profile = profile.clone().with_curve(name, Curve::new(Axis::layers(24), Unit::Nats, mean)).unwrap();
        }
        !found_in(&profile).change_points.is_empty()
    });
    // 5 % of 100, with the 97.5 % quantile of their number.
    assert!(with_points.count() <= 10);
}

/// Attention is compared after the sink is divided out.
#[test]
fn locality_leaves_the_first_position_out() {
    let mut profile = known(24, QUIET, 1);
    // The first layers look local only because the others send three quarters of their attention to the sink.
    let sink = (0..24).map(|layer| if layer < cuts(24)[0] { 0.0 } else { 0.75 }).collect();
    let near = (0..24).map(|layer| if layer < cuts(24)[0] { 0.4 } else { 0.1 }).collect();
    for (name, mean) in [("first_token_attention", sink), ("prev5_attention_mass", near)] {
        profile.curves.insert(name.to_owned(), Curve::new(Axis::layers(24), Unit::Fraction, mean));
    }
    let found = found_in(&profile);
    let evidence = found.stages[0].evidence.iter().find(|it| it.signal == "local_attention").unwrap();
    assert_ne!(evidence.support, Support::For, "{}", evidence.text);
    assert!(evidence.text.contains("left out"), "{}", evidence.text);
}

/// One layer at an end that cannot be removed is the first or last layer's own.
#[test]
fn special_end_layers_are_no_stages() {
    let (_, make) = NULLS.into_iter().find(|(name, _)| *name == "two special end layers").unwrap();
    let found = found_in(&make(24, QUIET, &mut Random(4)));
    assert!(found.stages.iter().all(|span| span.stage != D && span.stage != R), "{found}");
    let is_edge = found.edges.iter().any(|edge| edge.layer == 0 || edge.layer == 23);
    assert!(is_edge && found.to_string().contains("layer's own"), "{found}");
}

/// A gradual change is told, with its width.
#[test]
fn a_gradient_has_a_width() {
    let mut truth = Truth::steps(48);
    (truth.cuts[1], truth.widths[1]) = (31, 12.0);
    let found = found_in(&truth.profile(48, QUIET, 2));
    let boundary = found.boundary(F, P).unwrap();
    let transition = boundary.transition.unwrap();
    assert_eq!(transition.shape, Shape::Gradual, "{found}");
    assert!(transition.width_low <= 12.0 && 12.0 <= transition.width_high, "{found}");
    let step = found.boundary(P, R).unwrap().transition.unwrap();
    assert!(step.shape == Shape::Sharp && step.width < 3.0, "{found}");
}

/// Verdicts come with the three most telling numbers, in words.
#[test]
fn verdicts_are_told_in_numbers() {
    let found = found_in(&known(24, QUIET, 1));
    let boundary = found.boundary(D, F).unwrap();
    assert!(boundary.telling.len() == 3 && boundary.groups.len() >= 2, "{boundary:?}");
    assert!(boundary.telling.iter().any(|it| it.contains(" nats on average in layers 0 to 2, ")), "{boundary:?}");
    let text = found.to_string();
    assert!(text.contains("  - Detokenization to feature engineering at layer 3: supported; sharp"), "{text}");
    assert!(found.stages[0].headline.starts_with("Removing one of layers 0 to 2 costs "), "{text}");
}

/// Replicates of pairs alone say nothing about windows.
#[test]
fn pairs_do_not_stand_for_windows() {
    let mut profile = known(24, QUIET, 1);
    profile.curves.values_mut().for_each(|curve| curve.replicates.clear());
    let wic = Curve::new(Axis::residual_positions(24), Unit::Fraction, vec![0.6; 25])
        .with_replicates(ReplicateUnit::Pairs, vec![vec![0.0, 1.0, 1.0]; 25]);
    profile = profile.with_curve("wic_accuracy", wic).unwrap().with_value("clean_nll", Estimate::exact(3.5));
    assert!(found_in(&profile).boundaries.iter().all(|it| it.interval.is_none()));
    let mut random = Random(1);
    let layers = Truth::steps(24).layers(24, QUIET, &mut random);
    assert!(found_in(&profile_of(&layers, &mut random)).boundaries.iter().all(|it| it.interval.is_some()));
}

fn profile_of(layers: &[common::Layer], random: &mut Random) -> Profile {
    profile(layers, QUIET, random)
}
