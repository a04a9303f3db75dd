//! Effects by groups of positions: their weighted means are the whole, and each is what a loop over positions gives.

use std::collections::BTreeMap;
use std::fs;

use approx::abs_diff_eq;
use burn::tensor::Tensor;
use stratigraph_core::{NoTap, ResidualModel, RunModel, Site, TokenWindows};
use stratigraph_models::Checkpoint;
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::readout::Readout;
use stratigraph_probes::scores::{PositionScores, TokenGroups};
use stratigraph_profile::{Axis, Estimate, InterventionRecord};
use stratigraph_study::job::{Job, JobPlan, Shard, StepSize};
use stratigraph_study::{Findings, Study, StudyError};
use stratigraph_surgery::{LayerPlan, Sweep};
use stratigraph_testing::{Expected, FAMILIES, device, fixture};

use crate::given::{Given, small_steps, sweeps};
use crate::small::{Small, assert_close};

/// Texts of so many tokens, of all classes.
fn texts(d_vocab: usize) -> Vec<String> {
    let kinds = [" the", "ing", " 7", ",", "\n", "", " b", "x"];
    (0..d_vocab).map(|token| kinds[token % kinds.len()].to_owned()).collect()
}

/// The built-in groupings of some windows.
fn groupings(windows: &TokenWindows) -> Vec<TokenGroups> {
    TokenGroups::KNOWN.map(|name| TokenGroups::by_name(name, windows, &texts(60)).unwrap()).into()
}

fn studied(study: Study, windows: &TokenWindows) -> Findings {
    groupings(windows).into_iter().fold(study, Study::by_tokens).run(windows).unwrap()
}

/// How many positions of a group a metric is measured at.
fn counted(grouping: &TokenGroups, group: usize, windows: &TokenWindows, needs_next: bool) -> f64 {
    let positions = windows.seq_len() - usize::from(needs_next);
    let of_window = |window| (0..positions).filter(move |&position| grouping.group(window, position) == Some(group));
    (0..windows.n_sequences()).flat_map(of_window).count() as f64
}

#[test]
fn the_groups_of_a_partition_make_up_the_whole() {
    let given = Given::new();
    let study = given.study(&sweeps()).intervention("0-2-1-2".parse::<LayerPlan>().unwrap());
    let findings = studied(study, &given.windows);
    let (metrics, groupings) = (Metrics::default(), groupings(&given.windows));
    for run in findings.interventions() {
        assert_eq!(run.groups.len(), groupings.len());
        for grouping in &groupings {
            let records = &run.groups[grouping.name()];
            assert!(records.iter().map(|record| &record.group).eq(grouping.labels()));
            assert!(records.iter().map(|record| record.positions).eq(grouping.sizes()));
            for metric in metrics.iter() {
                // The last position has no next class.
                if grouping.name() == "next_class" && !metric.needs_next_token() {
                    continue;
                }
                let count = |group| counted(grouping, group, &given.windows, metric.needs_next_token());
                let sum = |weighted: bool| -> f64 {
                    let term = |(group, record): (usize, &stratigraph_profile::GroupRecord)| {
                        let mean = record.metrics.get(metric.name()).map_or(0.0, |estimate| estimate.mean);
                        count(group) * if weighted { mean } else { 1.0 }
                    };
                    records.iter().enumerate().map(term).sum()
                };
                let (found, whole) = (sum(true) / sum(false), run.metrics[metric.name()].mean);
                let what = (&run.name, grouping.name(), metric.name());
                assert!(
                    abs_diff_eq!(found, whole, epsilon = 1e-12 * whole.abs().max(1.0)),
                    "{what:?}: {found} {whole}"
                );
            }
        }
    }
}

/// The last residual stream of a run that passes by a layer, by a loop over the others.
fn without(model: &dyn ResidualModel, layer: usize, windows: &TokenWindows) -> Tensor<3> {
    let tokens = windows.batch(0..windows.n_sequences(), &model.device());
    let layers = (0..model.n_layers()).filter(|other| *other != layer).enumerate();
    layers.fold(model.embed(tokens).unwrap(), |resid, (slot, layer)| {
        model.block(Site { slot, layer }, resid, &mut NoTap).unwrap()
    })
}

/// Mean and standard error of a metric in each group, by its definition: over sums of windows.
fn by_hand(positions: &PositionScores, metric: usize, grouping: &TokenGroups) -> Vec<Estimate> {
    let mut windows: Vec<BTreeMap<usize, (f64, f64)>> = vec![BTreeMap::new(); grouping.labels().len()];
    for row in positions.rows() {
        let (Some(group), Some(value)) = (grouping.group(row.sequence, row.position), row.values[metric]) else {
            continue;
        };
        let (n, sum) = windows[group].entry(row.sequence).or_default();
        (*n, *sum) = (*n + 1.0, *sum + value);
    }
    let estimate = |windows: &BTreeMap<usize, (f64, f64)>| {
        let (n, sum) = windows.values().fold((0.0, 0.0), |(n, sum), of| (n + of.0, sum + of.1));
        let (w, mean) = (windows.len() as f64, sum / n);
        let squares: f64 = windows.values().map(|(n, sum)| (sum - n * mean).powi(2)).sum();
        Estimate::new(mean, (w > 1.0).then(|| (w / (w - 1.0) * squares).sqrt() / n))
    };
    windows.iter().map(estimate).collect()
}

#[test]
fn a_group_is_what_a_loop_over_its_positions_gives() {
    for name in FAMILIES {
        let model = Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap();
        let windows = Expected::of_family(name).windows();
        let (findings, n) = (studied(Study::new(&model).add(Sweep::delete()), &windows), windows.n_sequences());
        let clean = model.forward(windows.batch(0..n, &device()), &mut NoTap).unwrap();
        let changed = without(&model, 1, &windows);
        let mut scores = [PositionScores::default(), PositionScores::default()];
        Readout::new(&model).compare(&windows, 0..n, vec![clean, changed], 0, &mut scores).unwrap();
        for grouping in groupings(&windows) {
            for (metric, metric_name) in Metrics::default().names().enumerate() {
                for (positions, run) in scores.iter().zip(["clean", "delete 1"]) {
                    let record = findings.interventions().iter().find(|it| it.name == run).unwrap();
                    let expected = by_hand(positions, metric, &grouping);
                    for (group, expected) in record.groups[grouping.name()].iter().zip(expected) {
                        let what = format!("{name}, {run}, {metric_name} at {} {}", grouping.name(), group.group);
                        match group.metrics.get(metric_name) {
                            Some(found) => assert_estimate(*found, expected, &what),
                            None => assert!(expected.mean.is_nan(), "{what}"),
                        }
                    }
                }
            }
        }
    }
}

#[track_caller]
fn assert_estimate(found: Estimate, expected: Estimate, what: &str) {
    let close = |a: f64, b: f64| abs_diff_eq!(a, b, epsilon = 1e-5 * b.abs().max(1.0));
    assert!(close(found.mean, expected.mean), "{what}: {found:?}, expected {expected:?}");
    let sem = (found.sem.unwrap_or(0.0), expected.sem.unwrap_or(0.0));
    assert!(close(sem.0, sem.1) && found.sem.is_some() == expected.sem.is_some(), "{what}: {found:?} {expected:?}");
}

#[test]
fn matrices_and_curves_by_group_show_what_the_records_have() {
    let given = Given::new();
    let halves =
        TokenGroups::new("half", ["first", "second", "none"], &given.windows, |_, position| Some(position / 6));
    let study = given.study(&sweeps()).by_tokens(halves.unwrap());
    let findings = study.run(&given.windows).unwrap();
    let matrix = findings.matrix("delete_nll_by_half").unwrap();
    let axis = Axis::labelled("half", ["first", "second", "none"]);
    assert_eq!((&matrix.rows, &matrix.columns), (&Axis::layers(3), &axis));
    let of = |run: &InterventionRecord, group: usize| run.groups["half"][group].metrics["nll"];
    for (layer, row) in matrix.values.iter().enumerate() {
        let run = findings.interventions().iter().find(|it| it.name == format!("delete {layer}")).unwrap();
        assert_eq!(row[..2], [of(run, 0).mean, of(run, 1).mean]);
        assert!(row[2].is_nan() && run.groups["half"][2].metrics.is_empty());
    }
    let clean = findings.curve("clean_nll_by_half").unwrap();
    assert_eq!((clean.mean[1], clean.sem[1]), {
        let Estimate { mean, sem } = of(&findings.interventions()[0], 1);
        (mean, sem)
    });
    // Every metric has a matrix for each sweep, and those of the unchanged model a curve.
    let metrics = ["accuracy", "entropy_bits", "kl", "nll", "top1_agreement"];
    let names = ["delete", "lens", "swap"].map(|sweep| metrics.map(|metric| format!("{sweep}_{metric}_by_half")));
    assert!(findings.matrices().keys().eq(names.as_flattened()));
    let curves = findings.curves().keys().filter(|name| name.ends_with("_by_half"));
    assert!(curves.eq(["clean_accuracy_by_half", "clean_entropy_bits_by_half", "clean_nll_by_half"]));
    findings.into_profile_without_stages().check().unwrap();
}

#[test]
fn the_metrics_that_are_asked_for_have_matrices() {
    let given = Given::new();
    let metrics = Metrics::from_names(["js", "nll"]).unwrap();
    let findings = studied(given.study(&[Sweep::delete()]).with_metrics(metrics), &given.windows);
    assert!(findings.matrix("delete_js_by_word").is_ok() && findings.matrix("delete_nll_by_word").is_ok());
    assert!(findings.curve("clean_nll_by_word").is_ok() && findings.curve("clean_js_by_word").is_err());
    assert!(findings.matrix("delete_kl_by_word").is_err());
}

#[test]
fn several_devices_and_shards_give_what_one_run_gives() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let expected = studied(given.study(&sweeps()), &given.windows);
    let twin = Small::new(&device());
    let shared = studied(given.study(&sweeps()).also_on(&twin), &given.windows);
    assert_groups_close(&shared, &expected);

    let grouped = |plan: JobPlan| {
        let groups = groupings(&given.windows).into_iter();
        groups.fold(plan, |plan, groups| plan.with_groups(groups, &given.windows).unwrap())
    };
    let one = grouped(given.plan_of(&sweeps())).with_step_size(StepSize::new(7)).unwrap();
    let whole = given.job(&dir.path().join("whole"), one);
    given.run(&whole, Shard::WHOLE);
    let whole = whole.merge(&[]).unwrap();
    assert_eq!(whole.findings, expected.clone().with_record("flex", Vec::new()), "one step is a study to the bit");

    let path = dir.path().join("cut");
    let cut = given.job(&path, grouped(given.plan_of(&sweeps()).with_step_size(small_steps()).unwrap()));
    given.run(&cut, Shard::each(2).nth(1).unwrap());
    let again = Job::open(&path).unwrap(); // as another process
    given.run(&again, Shard::each(2).next().unwrap());
    let merged = again.merge(&[]).unwrap();
    assert_close(&merged.findings, &expected);
    assert_groups_close(&merged.findings, &expected);
}

/// Checks that records and matrices by group are the same but for the rounding of other batches.
#[track_caller]
fn assert_groups_close(found: &Findings, expected: &Findings) {
    assert_eq!(found.interventions().len(), expected.interventions().len());
    for (found, expected) in found.interventions().iter().zip(expected.interventions()) {
        assert!(found.groups.keys().eq(expected.groups.keys()) && !found.groups.is_empty());
        for (found, expected) in found.groups.values().flatten().zip(expected.groups.values().flatten()) {
            assert_eq!((&found.group, found.positions), (&expected.group, expected.positions));
            assert!(found.metrics.keys().eq(expected.metrics.keys()));
            for (metric, estimate) in &found.metrics {
                assert_estimate(*estimate, expected.metrics[metric], &format!("{} {metric}", found.group));
            }
        }
    }
    assert!(found.matrices().keys().eq(expected.matrices().keys()));
}

#[test]
fn a_job_without_groups_does_not_mention_them_and_damaged_groups_are_named() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let plain = given.done(&dir.path().join("plain"), &sweeps()).0;
    for file in ["job.json", "steps/000000.json"] {
        assert!(!fs::read_to_string(plain.path().join(file)).unwrap().contains("group"), "{file}");
    }
    assert!(!plain.path().join("groups.bin").exists());

    let word = TokenGroups::by_word(&given.windows, &texts(60)).unwrap();
    let plan = given.plan_of(&sweeps()).with_groups(word.clone(), &given.windows).unwrap();
    let twice = plan.clone().with_groups(word, &given.windows).unwrap_err();
    assert_eq!(twice.to_string(), "there is already a grouping named `word`; give the other one another name");
    let job = given.job(&dir.path().join("job"), plan);
    given.run(&job, Shard::WHOLE);
    let damaged = |file: &str, change: &dyn Fn(&mut Vec<u8>), says: &str| {
        let path = job.path().join(file);
        let kept = fs::read(&path).unwrap();
        let mut bytes = kept.clone();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let error = Job::open(job.path()).and_then(|job| job.merge(&[])).unwrap_err();
        fs::write(&path, kept).unwrap();
        assert!(matches!(error, StudyError::JobDamaged { .. }) && error.to_string().contains(says), "{error}");
    };
    damaged(
        "groups.bin",
        &|bytes| bytes[0] ^= 1,
        "groups.bin is damaged: its groups by word are not those of the plan",
    );
    damaged(
        "groups.bin",
        &|bytes| bytes.truncate(9),
        "groups.bin is damaged: it has 9 bytes, and 1 groupings of 168 each",
    );
    let renamed = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8(std::mem::take(bytes)).unwrap();
        *bytes = text.replacen("\"word\"", "\"ward\"", 1).into_bytes();
    };
    damaged("steps/000001.json", &renamed, "it does not hold the scores of its step");
}

#[test]
fn groups_of_other_windows_and_of_one_name_are_refused() {
    let given = Given::new();
    let short = given.windows.clone().take(2);
    let of = |windows: &TokenWindows| TokenGroups::by_position(windows).unwrap();
    let refused = |study: Study| study.run(&given.windows).unwrap_err().to_string();
    let other = refused(Study::new(&given.model).by_tokens(of(&short)));
    assert!(other.contains("`position`: it is of 2 windows of 12 tokens, and the corpus has 7 of 12"), "{other}");
    let twice = refused(Study::new(&given.model).by_tokens(of(&given.windows)).by_tokens(of(&given.windows)));
    assert_eq!(twice, "there is already a grouping named `position`; give the other one another name");
    let plan = given.plan().with_groups(of(&short), &given.windows).unwrap_err().to_string();
    assert!(plan.contains("make it from the same windows"), "{plan}");
}
