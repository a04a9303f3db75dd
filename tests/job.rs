//! Jobs: what shards give together is what one run gives, and what is not theirs is refused by name.

mod common;

use std::fs;

use common::given::{EXPERIMENTS, Given, SMALL};
use common::{device, fixture};
use stratigraph::job::{Job, JobModel, JobPlan, Shard, ShardRun, StepSize, hash_checkpoint};
use stratigraph::prelude::*;
use stratigraph::surgery::Budget;
use stratigraph::{Error, Experiment};

#[test]
fn one_step_over_everything_is_a_study_to_the_bit() {
    let (given, dir) = (Given::new("llama-gqa"), tempfile::tempdir().unwrap());
    let mut plan = given.plan(&EXPERIMENTS).plan(&given.model, "0-2-1-2".parse().unwrap()).unwrap();
    plan.step.windows = 7;
    let job = given.job(dir.path(), plan);
    assert_eq!(given.run(&job, Shard::WHOLE), 1);
    let study = Study::new(&given.model).experiments(EXPERIMENTS).plan("0-2-1-2".parse().unwrap());
    let merged = job.merge(&[]).unwrap();
    assert_eq!(merged.findings, study.run(&given.windows).unwrap());
    assert_eq!(merged.device, "flex");
    assert_eq!(merged.profile(&job, Vec::new()).curves["delete_kl"], merged.findings.curves["delete_kl"]);
}

#[test]
fn however_it_is_cut_it_gives_the_same_bits_and_within_rounding_what_a_study_gives() {
    let (given, dir) = (Given::new("llama-gqa"), tempfile::tempdir().unwrap());
    let (_, whole) = given.done(&dir.path().join("whole"), &EXPERIMENTS, SMALL);
    let job = given.job(&dir.path().join("cut"), JobPlan { step: SMALL, ..given.plan(&EXPERIMENTS) });
    // Two cuts that overlap, the later shards first, one of them twice.
    let done: usize = [(3, 2), (2, 1), (2, 1), (3, 0), (2, 0)]
        .map(|(count, index)| given.run(&job, Shard::each(count).nth(index).unwrap()))
        .iter()
        .sum();
    assert_eq!(done, job.plan().n_steps(), "a step is done once");
    assert_eq!(job.merge(&[]).unwrap().findings, whole.findings);

    let study = Study::new(&given.model).experiments(EXPERIMENTS).run(&given.windows).unwrap();
    assert_eq!(study.interventions.len(), whole.findings.interventions.len());
    for (name, curve) in &study.curves {
        let found = &whole.findings.curves[name];
        for (a, b) in
            found.mean.iter().zip(&curve.mean).chain(found.replicates.concat().iter().zip(&curve.replicates.concat()))
        {
            assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{name}: {a} and {b}");
        }
    }
}

#[test]
fn experiments_stand_in_a_plan_once_and_in_one_order() {
    let given = Given::new("llama-gqa");
    let [delete, swap, _] = EXPERIMENTS;
    assert_eq!(given.plan(&[swap, delete, swap]), given.plan(&[delete, swap]));
    let own = || "0-2-1".parse().unwrap();
    let twice = given.plan(&[delete]).plan(&given.model, own()).unwrap().plan(&given.model, own()).unwrap();
    assert_eq!(twice, given.plan(&[delete]).plan(&given.model, own()).unwrap());
}

#[test]
fn a_copy_is_the_plan_and_the_token_ids() {
    let (given, dir) = (Given::new("llama-gqa"), tempfile::tempdir().unwrap());
    let (job, merged) = given.done(&dir.path().join("job"), &EXPERIMENTS, SMALL);
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for file in ["job.json", "tokens.bin"] {
        fs::copy(job.path().join(file), copy.join(file)).unwrap();
    }
    let copy = Job::open(copy).unwrap();
    given.run(&copy, Shard::WHOLE);
    assert_eq!(copy.merge(&[]).unwrap().findings, merged.findings);
    // A record of a step that is another job's is no step that is done.
    fs::remove_file(job.path().join("job.json")).unwrap();
    let again = Job::create(job.path(), given.plan(&EXPERIMENTS[..1]), given.windows.clone());
    assert!(matches!(again, Err(Error::JobExists { .. })));
}

#[test]
fn shards_of_copies_merge_into_one() {
    let (given, dir) = (Given::new("llama-gqa"), tempfile::tempdir().unwrap());
    let (_, whole) = given.done(&dir.path().join("whole"), &EXPERIMENTS, SMALL);
    let copies: Vec<_> = Shard::each(2)
        .map(|shard| {
            let path = dir.path().join(shard.to_string().replace('/', "of"));
            let job = given.job(&path, JobPlan { step: SMALL, ..given.plan(&EXPERIMENTS) });
            given.run(&job, shard);
            job
        })
        .collect();
    let [first, second] = <[Job; 2]>::try_from(copies).unwrap();
    let unfinished = first.merge(&[]).unwrap_err();
    assert!(unfinished.to_string().ends_with("6 of 12 steps are done; missing: 6 to 11"), "{unfinished}");
    assert_eq!(first.status(std::slice::from_ref(&second)).unwrap().n_done(), 12);
    assert_eq!(first.merge(&[second]).unwrap().findings, whole.findings);
}

#[test]
fn other_windows_stand_in_across_shards_too() {
    let (given, dir) = (Given::new("llama-gqa"), tempfile::tempdir().unwrap());
    let resample = ["resample_attention".parse().unwrap(), "resample_mlp".parse().unwrap()];
    let (_, merged) = given.done(dir.path(), &resample, StepSize { windows: 1, plans: 100 });
    let study = Study::new(&given.model).experiments(resample).run(&given.windows).unwrap();
    for (name, curve) in &study.curves {
        for (a, b) in merged.findings.curves[name].mean.iter().zip(&curve.mean) {
            assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{name}: {a} and {b}");
        }
    }
}

#[test]
fn several_devices_share_the_steps_and_the_windows() {
    let (given, dir) = (Given::new("llama-gqa"), tempfile::tempdir().unwrap());
    let checkpoint = Pretrained::open(fixture("llama-gqa")).unwrap();
    let (_, alone) = given.done(&dir.path().join("alone"), &EXPERIMENTS, SMALL);
    let twin = checkpoint.load(&device()).unwrap();
    let job = given.job(&dir.path().join("two"), JobPlan { step: SMALL, ..given.plan(&EXPERIMENTS) });
    let run = ShardRun::new(&job, "flex", &given.model, &given.sha256).unwrap().also_on("its twin", &twin);
    assert_eq!(run.run().unwrap(), job.plan().n_steps());
    assert_eq!(job.merge(&[]).unwrap().findings, alone.findings, "steps are the same, whoever does them");

    let study = |others: &[Decoder]| {
        let study = Study::new(&given.model).experiments([Experiment::Delete]);
        let findings = others.iter().fold(study, |study, other| study.also_on(other)).run(&given.windows);
        findings.unwrap()
    };
    let expected = study(&[]);
    for (backend, device) in common::devices() {
        let other = checkpoint.load(&device).unwrap();
        let found = study(&[other]);
        assert_eq!(found.interventions.len(), expected.interventions.len());
        let tolerance = if backend == Backend::Wgpu { 1e-3 } else { 1e-5 };
        for (name, curve) in &expected.curves {
            assert_eq!(found.curves[name].replicates.concat().len(), curve.replicates.concat().len());
            for (a, b) in found.curves[name].mean.iter().zip(&curve.mean) {
                assert!((a - b).abs() < tolerance * b.abs().max(1.0), "{name} on flex and {backend}: {a} and {b}");
            }
        }
    }
}

#[test]
fn a_budget_that_is_too_small_is_an_error_and_writes_nothing() {
    let (given, dir) = (Given::new("llama-gqa"), tempfile::tempdir().unwrap());
    let small = Budget { bytes: 1, ..Budget::default() };
    let job = given.job(dir.path(), JobPlan { step: SMALL, ..given.plan(&EXPERIMENTS) });
    let twin = Given::new("llama-gqa").model;
    let run = ShardRun::new(&job, "flex", &given.model, &given.sha256).unwrap().also_on("flex", &twin).budget(small);
    assert!(matches!(run.run(), Err(Error::Surgery(_))));
    assert_eq!(job.status(&[]).unwrap().n_done(), 0);
}

#[test]
fn another_model_corpus_or_plan_is_refused_by_name() {
    let (given, other, dir) = (Given::new("llama-gqa"), Given::new("llama-untied"), tempfile::tempdir().unwrap());
    let (job, _) = given.done(&dir.path().join("job"), &EXPERIMENTS, SMALL);
    let refused = |error: Error, expected: &str, path: &str| match &error {
        Error::OtherJob { what, path: found, .. } => {
            assert_eq!(*what, expected);
            assert!(found.to_string_lossy().contains(path), "{error}");
        }
        _ => panic!("{error}"),
    };
    refused(ShardRun::new(&job, "flex", &other.model, &other.sha256).err().unwrap(), "model", "job");

    let shorter = Given { windows: given.windows.clone().take(6), ..Given::new("llama-gqa") };
    let others = [
        ("model", other.done(&dir.path().join("m"), &EXPERIMENTS, SMALL).0, "m"),
        ("corpus", shorter.done(&dir.path().join("c"), &EXPERIMENTS, SMALL).0, "c"),
        ("plan", given.done(&dir.path().join("p"), &EXPERIMENTS[..2], SMALL).0, "p"),
    ];
    for (what, other, path) in others {
        // A copy of the job that is another, and another's record among ours.
        refused(job.merge(std::slice::from_ref(&other)).unwrap_err(), what, path);
        let record = |job: &Job| job.path().join("steps/000000.json");
        let kept = fs::read(record(&job)).unwrap();
        fs::copy(record(&other), record(&job)).unwrap();
        refused(job.merge(&[]).unwrap_err(), what, "000000.json");
        fs::write(record(&job), kept).unwrap();
    }
    assert!(matches!(
        Job::create(job.path(), given.plan(&EXPERIMENTS), given.windows.clone()),
        Err(Error::JobExists { .. })
    ));
}

#[test]
fn what_is_damaged_is_named() {
    let (given, dir) = (Given::new("llama-gqa"), tempfile::tempdir().unwrap());
    let (job, merged) = given.done(dir.path(), &EXPERIMENTS, SMALL);
    let damage = |file: &str, change: &dyn Fn(String) -> String| {
        let path = dir.path().join(file);
        let kept = fs::read(&path).unwrap();
        let text = change(String::from_utf8_lossy(&kept).into_owned());
        fs::write(&path, text).unwrap();
        let error = Job::open(dir.path()).and_then(|job| job.merge(&[])).unwrap_err();
        fs::write(&path, kept).unwrap();
        assert!(error.to_string().contains(file), "{file}: {error}");
        error
    };
    for file in ["job.json", "tokens.bin", "steps/000003.json"] {
        assert!(matches!(damage(file, &|_| String::new()), Error::JobDamaged { .. }));
        let half = |text: String| text.chars().take(text.chars().count() / 2).collect();
        assert!(matches!(damage(file, &half), Error::JobDamaged { .. }));
    }
    let second = fs::read_to_string(dir.path().join("steps/000002.json")).unwrap();
    damage("steps/000003.json", &|_| second.clone()); // of another step
    damage("steps/000003.json", &|text| text.replacen("\"count\":12", "\"count\":11", 1));
    damage("job.json", &|text| text.replacen("\"format\": 2", "\"format\": 3", 1));
    damage("job.json", &|text| text.replacen("\"dtype\": \"f32\"", "\"dtype\": \"f16\"", 1));
    damage("job.json", &|text| text.replacen("\"delete\"", "\"attention\"", 1));
    damage("job.json", &|text| text.replacen("\"delete\"", "\"swap\"", 1));
    damage("job.json", &|text| text.replacen("\"seed\"", "\"sead\"", 1));
    let missing = Job::open(dir.path().join("absent")).unwrap_err();
    assert!(matches!(missing, Error::Io { .. }), "{missing}");
    assert_eq!(Job::open(dir.path()).unwrap().merge(&[]).unwrap().findings, merged.findings);

    // A plan of another version would give other numbers.
    let text = fs::read_to_string(dir.path().join("job.json")).unwrap();
    fs::write(dir.path().join("job.json"), text.replace("\"stratigraph\": \"", "\"stratigraph\": \"9")).unwrap();
    let other = Job::open(dir.path()).unwrap();
    let refused = ShardRun::new(&other, "flex", &given.model, &given.sha256).err().unwrap();
    assert!(matches!(refused, Error::OtherJob { what: "version", .. }), "{refused}");
    drop(job);
}

#[test]
fn what_needs_the_whole_corpus_is_refused() {
    let given = Given::new("llama-gqa");
    let plan = |experiment: &str| {
        let model = JobModel::of(&given.model, "fixture", "nowhere", given.sha256.clone());
        JobPlan::new(&given.model, model, ("text", &given.windows), &[experiment.parse().unwrap()])
    };
    for experiment in ["attention", "geometry", "neurons", "mean_attention", "mean_mlp"] {
        assert!(matches!(plan(experiment), Err(Error::ExperimentNotInJob { .. })), "{experiment}");
    }
    assert!(matches!(plan("repeat_9"), Err(Error::ExperimentImpossible { .. })));
    let own = |plan: &str| given.plan(&EXPERIMENTS).plan(&given.model, plan.parse().unwrap());
    assert!(matches!(own("0-1[a=mean]-2"), Err(Error::PlanNotInJob { .. })));
    assert!(matches!(own("0-9"), Err(Error::Surgery(_))));
}

#[test]
fn a_checkpoint_has_the_hash_that_sha256sum_gives() {
    let sum = |command: &str| {
        let output = std::process::Command::new("sh").args(["-c", command]).current_dir(fixture("llama-gqa")).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(Given::new("llama-gqa").sha256, sum("sha256sum config.json model.safetensors | sha256sum"));
    let gguf = fs::read_dir(fixture("llama-gqa")).unwrap().flatten().map(|entry| entry.path());
    let gguf = gguf.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "gguf")).unwrap();
    let expected = sum(&format!("sha256sum {}", gguf.file_name().unwrap().to_string_lossy()));
    assert_eq!(hash_checkpoint(&Pretrained::open(gguf).unwrap()).unwrap(), expected);
}
