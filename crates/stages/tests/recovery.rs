//! Profiles of which the stages are known.

mod common;

use common::truth::{Truth, cuts, known, recovered};
use common::{LOUD, Noise, QUIET, Random, profile};
use stratigraph_profile::{Axis, Curve, Estimate, Profile, Segmentation, Stage, Support, Unit, Verdict};
use stratigraph_stages::{ComparisonScale, EvidenceKind, Expected, Reading, Rule, Segmenter, Signal, segment};

/// The default with fewer draws and orders, for speed.
fn rule() -> Rule {
    let mut rule = Rule::default();
    (rule.resamples, rule.permutations) = (60, 199);
    rule
}

/// The stages by that rule.
fn found_in(profile: &Profile) -> Segmentation {
    Segmenter::new(rule()).segment(profile)
}

/// Boundaries found within one layer, boundaries found, and boundaries there are.
fn counts(n: usize, noise: Noise, seeds: u64) -> (usize, usize, usize) {
    let each = (0..seeds).map(|seed| found_in(&known(n, noise, 31 * seed + n as u64)));
    let [near, found] = each.fold([0; 2], |[near, found], division| {
        let [more_near, more_found] = recovered(&division, n);
        [near + more_near, found + more_found]
    });
    (near, found, 3 * seeds as usize)
}

#[test]
fn stages_are_found_at_any_depth() {
    for n in [8, 12, 16, 30, 48, 96] {
        let (near, found, all) = counts(n, QUIET, 10);
        assert!(near == found && near * 100 >= all * 90, "{n} layers: {near} near, {found} found, {all} there are");
    }
}

#[test]
fn noise_hides_boundaries_but_hardly_moves_them() {
    for n in [12, 24, 48, 96] {
        let (near, found, all) = counts(n, LOUD, 10);
        assert!(near * 100 >= found * 95, "{n} layers: {near} near, {found} found, {all} there are");
        assert!(near * 100 >= all * 70, "{n} layers: {near} near, {found} found, {all} there are");
    }
}

#[test]
fn six_layers_can_have_stages() {
    let (near, found, all) = counts(6, QUIET, 10);
    assert!(near == found && near * 4 >= all, "{near} near, {found} found, {all} there are");
}

#[test]
fn a_stage_may_be_absent() {
    for (cuts, stages) in [
        ([0, 14, 22], &Stage::ALL[1..]),
        ([3, 14, 24], &Stage::ALL[..3]),
        ([3, 3, 22], &[Stage::Detokenization, Stage::PredictionEnsembling, Stage::ResidualSharpening][..]),
    ] {
        let mut random = Random(5);
        let layers = Truth { cuts, ..Truth::steps(24) }.layers(24, QUIET, &mut random);
        let found = found_in(&profile(&layers, QUIET, &mut random));
        assert_eq!(found.stages.iter().map(|span| span.stage).collect::<Vec<_>>(), stages, "{found}");
    }
}

#[test]
fn one_odd_layer_is_an_outlier_and_no_boundary() {
    for odd in [6, 9, 12, 16] {
        let mut random = Random(odd as u64);
        let mut layers = Truth::steps(24).layers(24, QUIET, &mut random);
        // What massive activations look like: everything that comes through the layer is new, and it cannot be removed.
        layers[odd].sensitivity = 2.0;
        layers[odd].influence = 0.5;
        layers[odd].mlp = 300.0;
        let found = found_in(&profile(&layers, QUIET, &mut random));
        let at: Vec<usize> = found.boundaries.iter().map(|boundary| boundary.at).collect();
        assert!(at.len() == 3 && at.iter().zip(cuts(24)).all(|(at, cut)| at.abs_diff(cut) <= 1), "{odd}: {found}");
        assert_eq!(found.outliers.iter().map(|outlier| outlier.layer).collect::<Vec<_>>(), [odd], "{found}");
    }
}

#[test]
fn a_missing_curve_is_said_and_does_not_fail() {
    let full = known(24, QUIET, 1);
    let derived = [
        ("prev5_attention_mass", "local_attention"),
        ("first_token_attention", "local_attention"),
        ("mlp_out_norm", "mlp_write_ratio"),
        ("attn_out_norm", "attn_write_ratio"),
        ("resid_norm", "mlp_write_ratio"),
    ];
    // The affine lens is read in place of the logit lens.
    for name in full.curves.keys().filter(|name| !name.starts_with("lens")) {
        let signal = derived.iter().find(|(of, _)| of == name).map_or(&name[..], |(_, signal)| signal);
        let mut less = full.clone();
        less.curves.remove(name);
        let found = found_in(&less);
        assert!(found.has_stages(), "without {name}: {found}");
        assert!(found.missing.iter().any(|it| it == signal) && found.to_string().contains(signal), "{name}: {found}");
        let absent = found.stages.iter().flat_map(|span| &span.evidence).filter(|it| it.signal == signal);
        let is_absent = absent.clone().count() > 0 && absent.clone().all(|it| it.support == Support::Absent);
        assert!(is_absent || name == "affine_lens_kl", "{name}: {found}");
    }
    let mut none = full;
    none.curves.clear();
    assert_eq!(segment(&none).verdict, Verdict::NoStageStructure);
}

#[test]
fn without_windows_there_are_stages_and_no_intervals() {
    let mut profile = known(24, QUIET, 2);
    profile.curves.values_mut().for_each(|curve| curve.replicates.clear());
    let found = found_in(&profile);
    assert!(
        found.boundaries.len() == 3 && found.boundaries.iter().all(|boundary| boundary.interval.is_none()),
        "{found}"
    );
}

#[test]
fn intervals_hold_the_estimate_and_shares_are_shares() {
    for seed in 0..10 {
        for boundary in found_in(&known(30, LOUD, seed)).boundaries {
            let interval = boundary.interval.expect("there are windows");
            assert!(interval.low <= boundary.at && boundary.at <= interval.high, "{boundary:?}");
            assert!(interval.within_one <= interval.frequency && interval.frequency <= 1.0, "{boundary:?}");
        }
    }
}

#[test]
fn stages_cover_all_layers_in_order_and_boundaries_lie_between() {
    let found = found_in(&known(40, LOUD, 3));
    assert_eq!((found.stages[0].first, found.stages.last().unwrap().end), (0, 40));
    for (pair, boundary) in found.stages.windows(2).zip(&found.boundaries) {
        assert!(pair[0].end == pair[1].first && pair[0].stage < pair[1].stage);
        assert_eq!((boundary.before, boundary.after, boundary.at), (pair[0].stage, pair[1].stage, pair[1].first));
        assert_eq!(found.stage_of(boundary.at), Some(boundary.after));
    }
}

#[test]
fn the_same_profile_gives_the_same_answer_and_reads_back() {
    let mut profile = known(24, LOUD, 4);
    let found = segment(&profile);
    assert_eq!(found, segment(&profile));
    assert_eq!(found.n_shared_boundaries(&found, 0), found.boundaries.len());
    profile.stages = Some(found);
    let json = profile.to_json();
    assert!(json.contains(r#""verdict": "stages""#) && json.contains(r#""stage": "detokenization""#));
    assert_eq!(Profile::from_json(&json).unwrap().stages, profile.stages);
}

#[test]
fn numbers_that_are_missing_or_out_of_range_do_no_harm() {
    let mut profile = known(24, QUIET, 6);
    profile.curves.get_mut("delete_kl").unwrap().mean[5] = f64::NAN;
    profile.curves.get_mut("swap_kl").unwrap().mean[7] = f64::INFINITY;
    profile.curves.get_mut("lens_kl").unwrap().mean[9] = f64::NAN;
    profile.curves.get_mut("mlp_out_norm").unwrap().mean[2] = -1.0;
    profile.curves.get_mut("block_influence").unwrap().mean.pop();
    profile.curves.values_mut().for_each(|curve| curve.replicates.clear());
    let found = found_in(&profile);
    assert_eq!(found.boundaries.len(), 3, "{found}");
    assert_eq!(found.unreadable, ["block_influence"]);
    assert!(!found.missing.contains(&"block_influence".to_owned()));
    let short = found.stages[3].evidence.iter().find(|it| it.signal == "block_influence").unwrap();
    assert_eq!(
        (short.support, &short.text[..]),
        (Support::Unclear, "cannot be read: 23 numbers among 23 values, for 24 layers")
    );
    profile.stages = Some(found);
    let json = serde_json::to_string(&profile.stages).unwrap();
    assert_eq!(serde_json::from_str::<Option<Segmentation>>(&json).unwrap(), profile.stages);
}

#[test]
fn a_number_that_is_missing_says_nothing() {
    // Every number of a layer is missing; no reading of it may make it special, and no text may have it.
    for (layer, odd) in [(9, f64::NAN), (9, f64::INFINITY), (3, f64::NAN), (12, f64::NEG_INFINITY)] {
        let mut profile = known(24, QUIET, 6);
        for (name, curve) in profile.curves.iter_mut().filter(|(name, _)| !name.starts_with("lens")) {
            let last = if name.starts_with("swap") { 22 } else { 23 };
            curve.mean[layer.min(last)] = odd;
            curve.replicates.clear();
        }
        let found = found_in(&profile);
        let at: Vec<usize> = found.boundaries.iter().map(|boundary| boundary.at).collect();
        assert!(
            at.len() == 3 && at.iter().zip(cuts(24)).all(|(at, cut)| at.abs_diff(cut) <= 1),
            "{layer} {odd}: {found}"
        );
        assert!(found.outliers.is_empty(), "{layer} {odd}: {found}");
        let text = found.to_string();
        assert!(!text.contains("NaN") && !text.contains("inf "), "{text}");
    }
}

#[test]
fn a_stage_without_a_number_has_no_number_in_its_text() {
    let mut profile = known(24, QUIET, 6);
    profile.curves.get_mut("delete_top1_agreement").unwrap().mean[..3].fill(f64::NAN);
    profile.curves.values_mut().for_each(|curve| curve.replicates.clear());
    profile
        .curves
        .insert("first_token_attention".into(), Curve::new(Axis::layers(24), Unit::Fraction, vec![f64::NAN; 24]));
    profile.values.insert("wic_majority".into(), Estimate::exact(f64::NAN));
    let found = found_in(&profile);
    let silent = &found.stages[0].evidence.iter().find(|it| it.signal == "delete_top1_agreement").unwrap();
    assert_eq!((silent.support, silent.strength), (Support::Unclear, 0.0), "{found}");
    assert_eq!(silent.text, "no number in layers 0 to 2");
    assert!(!found.to_string().contains("NaN"), "{found}");
}

#[test]
fn evidence_tells_the_curve_s_own_numbers() {
    let profile = known(24, QUIET, 1);
    let found = found_in(&profile);
    let first = &found.stages[0];
    let kl = &profile.curves["delete_kl"].mean;
    let mean = kl[first.first..first.end].iter().sum::<f64>() / (first.end - first.first) as f64;
    let mut sorted = kl.clone();
    sorted.sort_by(f64::total_cmp);
    let median = (sorted[11] + sorted[12]) / 2.0;
    let text = &first.evidence.iter().find(|it| it.signal == "delete_kl").unwrap().text;
    let expected = format!("{mean:.2} nats in layers 0 to 2 on average, {median:.2} in the median layer");
    assert!(text.starts_with(&expected), "{text} is not {expected}");
    let lens = found.stages.last().unwrap().evidence.iter().find(|it| it.signal == "affine_lens_kl").unwrap();
    assert!(
        lens.text.starts_with("layers 22 to 23 bring it closer to its final value")
            && lens.text.ends_with("an even pace"),
        "{}",
        lens.text
    );
}

#[test]
fn half_of_the_windows_show_the_same() {
    let profile = known(24, LOUD, 7);
    let all = found_in(&profile);
    for half in [[0, 1, 2, 3], [4, 5, 6, 7]] {
        let part = profile.select_windows(&half).unwrap();
        assert_eq!((part.corpus.n_sequences, part.curves["delete_kl"].n_windows()), (4, Some(4)));
        assert_eq!(part.curves["mean_kurtosis"], profile.curves["mean_kurtosis"]);
        assert_eq!(all.n_shared_boundaries(&found_in(&part), 1), all.boundaries.len());
    }
}

#[test]
fn a_file_of_before_some_fields_is_read() {
    let mut json = serde_json::to_value(segment(&known(12, QUIET, 1))).unwrap();
    for name in ["p_value_alone", "unreadable"] {
        json.as_object_mut().unwrap().remove(name).unwrap();
    }
    json["rule"].as_object_mut().unwrap().remove("significance_alone").unwrap();
    json["rule"]["weights"].as_object_mut().unwrap().remove("swap").unwrap();
    let read: Segmentation = serde_json::from_value(json).unwrap();
    assert_eq!((read.p_value_alone, Rule::from_segmentation(&read).unwrap()), (1.0, Rule::default()));
}

#[test]
fn a_rule_that_divides_by_zero_is_refused() {
    let found = segment(&known(12, QUIET, 1));
    for (setting, value, part) in [("outlier", 2.5, "above stands_out, 2.5"), ("always", 1.0, "between 0 and 1")] {
        let mut found = found.clone();
        found.rule[setting] = value.into();
        let message = Rule::from_segmentation(&found).unwrap_err().to_string();
        assert!(message.starts_with("the rule cannot be used: ") && message.contains(part), "{message}");
    }
}

#[test]
fn a_signal_of_the_user_s_own_is_evidence() {
    use Expected::{Often, Rarely};
    let kind =
        EvidenceKind::new("mine", [Rarely, Rarely, Rarely, Often]).characteristic_of([Stage::ResidualSharpening]);
    let mut signals = Signal::standard(&rule());
    signals.push(Signal::new("mine", kind, Reading::High(ComparisonScale::linear(0.1))));
    let segmenter = Segmenter::new(rule()).with_signals(signals).unwrap();
    let known = known(24, QUIET, 1);
    let values = (0..24).map(|layer| if layer >= 22 { 9.0 } else { 1.0 }).collect();
    let profile = known.clone().with_curve("mine", Curve::new(Axis::layers(24), Unit::Dimensionless, values)).unwrap();
    let (with, without) = (segmenter.segment(&profile), segmenter.segment(&known));
    let of = |found: &Segmentation| {
        let evidence = found.stages.last().unwrap().evidence.iter().find(|it| it.signal == "mine").unwrap();
        (evidence.support, evidence.characteristic)
    };
    assert_eq!((of(&with), of(&without)), ((Support::For, true), (Support::Absent, true)));
    assert!(with.gain > without.gain && without.missing.contains(&"mine".to_owned()));
}
