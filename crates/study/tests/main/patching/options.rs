//! What can be chosen, what is left out, and what a budget does.

use approx::abs_diff_eq;
use stratigraph_core::{Hook, Moments, NoTap, ResidualModel};
use stratigraph_probes::metrics::{Kl, LogitDifference, Loss, Metrics};
use stratigraph_profile::{Axis, ReplicateUnit, Unit};
use stratigraph_study::measurements::{PatchDirection, TokenPair};
use stratigraph_study::{Findings, Study};
use stratigraph_surgery::Budget;

use super::{assert_matrix, difference, load, logits, patching, random_pair, study, window};

#[test]
fn positions_are_counted_from_the_end_and_curves_keep_the_pairs() {
    let model = load("gpt2");
    let pairs: Vec<_> = [5, 3, 5].iter().zip(10..).map(|(seq_len, seed)| random_pair(&model, *seq_len, seed)).collect();
    let findings = study(&model, patching(&pairs));
    let map = findings.matrix("patch_mlp_out_noise").unwrap();
    assert_eq!(map.columns, Axis::labelled("position from the end", ["-5", "-4", "-3", "-2", "-1"]));
    assert_eq!((&map.rows, &map.unit), (&Axis::layers(model.n_layers()), &Unit::Fraction));
    let alone: Vec<_> = pairs.iter().map(|pair| study(&model, patching(std::slice::from_ref(pair)))).collect();
    for direction in PatchDirection::ALL {
        let name = format!("patch_resid_pre_last_{direction}");
        let curve = findings.curve(&name).unwrap();
        assert_eq!((curve.replicate_unit, curve.n_replicates()), (ReplicateUnit::Pairs, Some(3)));
        let map = findings.matrix(&format!("patch_resid_pre_{direction}")).unwrap();
        let [low, high] = ["low", "high"].map(|end| findings.curve(&format!("{name}_ci_{end}")).unwrap());
        for layer in 0..model.n_layers() {
            let of_pairs = &curve.replicates[layer];
            for (value, alone) in of_pairs.iter().zip(&alone) {
                let alone = alone.curve(&name).unwrap().mean[layer];
                assert!(abs_diff_eq!(*value, alone, epsilon = 1e-4 * alone.abs().max(1.0)), "{value} and {alone}");
            }
            let moments: Moments = of_pairs.iter().copied().collect();
            assert_eq!((curve.mean[layer], curve.sem[layer]), (moments.mean, moments.sem()));
            assert_eq!(map.estimate(layer, 4), curve.estimates().nth(layer));
            assert_eq!(map.sem[layer][0].is_finite(), map.sem[layer][1].is_finite(), "two pairs have five tokens");
            let (least, most) = of_pairs.iter().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
            let (least, most) = (least - 1e-12, most + 1e-12); // of rounding
            assert!(least <= low.mean[layer] && low.mean[layer] <= curve.mean[layer] + 1e-12);
            assert!(curve.mean[layer] <= high.mean[layer] + 1e-12 && high.mean[layer] <= most);
        }
    }
    assert!(alone[0].curve("patch_resid_pre_last_noise_ci_low").is_err(), "one pair has no interval");
    assert_eq!(alone[0].curve("patch_resid_pre_last_noise").unwrap().sem[0], None);
}

#[test]
fn a_seed_decides_the_intervals() {
    let model = load("gpt2");
    let pairs: Vec<_> = (20..29).map(|seed| random_pair(&model, 4, seed)).collect();
    let run = |seed| Study::new(&model).with_seed(seed).add(patching(&pairs)).run(&window(&[1, 2, 3])).unwrap();
    let low = |findings: &Findings| findings.curve("patch_resid_pre_last_denoise_ci_low").unwrap().mean.clone();
    assert_eq!(low(&run(1)), low(&run(1)));
    assert_ne!(low(&run(1)), low(&run(2)));
}

#[test]
fn pairs_that_hardly_differ_are_counted_and_left_out() {
    let model = load("gpt2");
    let mut pairs: Vec<_> = (30..33).map(|seed| random_pair(&model, 4, seed)).collect();
    let findings = study(&model, patching(&pairs));
    let value = |findings: &Findings, name: &str| findings.value(name).unwrap().mean;
    assert_eq!((value(&findings, "patch_pairs"), value(&findings, "patch_pairs_left_out")), (3.0, 0.0));
    let expected: Moments =
        pairs.iter().map(|pair| difference(&logits(&model, &pair.clean, &mut NoTap), pair)).collect();
    let clean = findings.value("patch_clean_logit_difference").unwrap();
    assert!(abs_diff_eq!(clean.mean, expected.mean, epsilon = 1e-4) && clean.sem.is_some());

    // Two answers whose difference the prompts leave as it is, but for a tenth of what the others are changed.
    let differences = |pair: &TokenPair| -> f64 {
        let [a, b] = [&pair.clean, &pair.corrupted].map(|prompt| difference(&logits(&model, prompt, &mut NoTap), pair));
        (a - b).abs()
    };
    let least = pairs.iter().map(differences).fold(f64::MAX, f64::min) / 10.0;
    let TokenPair { clean, corrupted, other, .. } = pairs[0].clone();
    let answers = (0..model.d_vocab() as u32).filter(|answer| *answer != other);
    let mut alike = answers.map(|answer| TokenPair::new(clean.clone(), corrupted.clone(), answer, other));
    let alike = alike.find(|pair| differences(pair) < least).unwrap();
    pairs.push(alike.clone());
    let kept = study(&model, patching(&pairs).with_least_difference(least));
    assert_eq!((value(&kept, "patch_pairs"), value(&kept, "patch_pairs_left_out")), (3.0, 1.0));
    for (name, map) in findings.matrices() {
        assert_matrix(kept.matrix(name).unwrap(), &map.values, name);
    }
    let alone = patching(&[alike]).with_least_difference(least);
    let error = Study::new(&model).add(alone).run(&window(&[1, 2, 3])).unwrap_err().to_string();
    assert!(error.starts_with("cannot measure patching: the logit_difference differs"), "{error}");
    assert!(
        error.contains("in all 1 pairs") && error.contains("use pairs that the model answers differently"),
        "{error}"
    );
}

#[test]
fn any_metric_is_read_at_the_answer() {
    let model = load("llama-gqa");
    let mut pairs: Vec<_> = (40..43).map(|seed| random_pair(&model, 5, seed)).collect();
    let (answer, other) = (pairs[0].answer, pairs[0].other);
    pairs.iter_mut().for_each(|pair| (pair.answer, pair.other) = (answer, other));
    let by_default = study(&model, patching(&pairs));
    // A metric that looks for the last position of a window, and one of every position.
    for metric in [LogitDifference::new(answer, other).at_last_position(), LogitDifference::new(answer, other)] {
        let findings = study(&model, patching(&pairs).with_metric(metric, 1e-4));
        for (name, map) in by_default.matrices() {
            let found = findings.matrix(&format!("{name}_logit_difference")).unwrap();
            assert_matrix(found, &map.values, name);
            assert!(found.title.as_ref().unwrap().ends_with(": logit difference"), "{:?}", found.title);
        }
    }
    let log_prob = |logits: &[f64]| logits[answer as usize] - logits.iter().map(|x| x.exp()).sum::<f64>().ln();
    let one = || patching(&pairs[..1]);
    let loss = study(&model, one().with_metric(Loss, 1e-6));
    let kl = study(&model, one().with_metric(Kl, 1e-6));
    let pair = &pairs[0];
    let [clean, corrupted] = [&pair.clean, &pair.corrupted].map(|prompt| logits(&model, prompt, &mut NoTap));
    assert!(abs_diff_eq!(loss.value("patch_clean_nll").unwrap().mean, -log_prob(&clean), epsilon = 1e-4));
    assert!(abs_diff_eq!(loss.value("patch_corrupted_nll").unwrap().mean, -log_prob(&corrupted), epsilon = 1e-4));
    let normed = |logits: &[f64]| -> Vec<f64> {
        let sum = logits.iter().map(|x| x.exp()).sum::<f64>();
        logits.iter().map(|x| x.exp() / sum).collect()
    };
    let (p, q) = (normed(&clean), normed(&corrupted));
    let expected: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
    assert!(abs_diff_eq!(kl.value("patch_corrupted_kl").unwrap().mean, expected, epsilon = 1e-4));
    assert_eq!(kl.value("patch_clean_kl").unwrap().mean, 0.0);
    assert_eq!(kl.value("patch_pairs_kl").unwrap().mean, 1.0);
}

#[test]
fn hooks_and_directions_can_be_chosen() {
    let model = load("llama-gqa");
    let pairs: Vec<_> = (50..52).map(|seed| random_pair(&model, 4, seed)).collect();
    let chosen = patching(&pairs).with_hooks([Hook::V, Hook::MlpPost]).with_directions([PatchDirection::Noise]);
    let findings = study(&model, chosen);
    let names: Vec<_> = findings.matrices().keys().map(String::as_str).collect();
    assert_eq!(names, ["patch_post_noise", "patch_v_heads_noise"]);
    let n_kv_heads = model.shape().heads.unwrap().n_kv_heads;
    assert_eq!(findings.matrix("patch_v_heads_noise").unwrap().columns, Axis::heads(n_kv_heads));
    assert!(findings.curves().keys().all(|name| !name.starts_with("patch_")));
}

#[test]
fn a_small_budget_changes_nothing_but_rounding_and_progress_ends_at_its_total() {
    let model = load("gpt2");
    let pairs: Vec<_> = (60..65).map(|seed| random_pair(&model, 4 + seed as usize % 2, seed)).collect();
    let expected = study(&model, patching(&pairs));
    for kilobytes in [1 << 20, 200, 40] {
        let budget = Budget { bytes: kilobytes << 10, ..Budget::default() };
        let mut seen = Vec::new();
        let study = Study::new(&model).with_metrics(Metrics::from_names(["nll"]).unwrap()).with_budget(budget);
        let study = study.on_progress(|progress| seen.push((progress.done, progress.total)));
        let found = study.add(patching(&pairs)).run(&window(&[1, 2, 3])).unwrap();
        for (name, map) in expected.matrices() {
            assert_matrix(found.matrix(name).unwrap(), &map.values, &format!("{name} in {kilobytes} kB"));
        }
        assert!(seen.len() > 10 && seen.is_sorted(), "{seen:?}");
        let (done, total) = *seen.last().unwrap();
        assert_eq!(done, total);
        // Where all patches run together the estimate is exact: the last step ends at the total, and no sooner.
        if kilobytes == 1 << 20 {
            let before = &seen[seen.len() - 3..];
            assert!(before[0].0 < total && before[1].0 == total, "{before:?}");
        }
    }
}
