//! Files of jobs: what is another job's, damaged or of another format is refused by name.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use stratigraph_core::SplitMix64;
use stratigraph_study::StudyError;
use stratigraph_study::job::{Job, JobCorpus, JobModel, JobPlan, ShardRun};
use stratigraph_surgery::{Intervention, Sweep};

use crate::given::{Given, SHA256, sweeps};

/// Changes a JSON file.
fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn another_model_corpus_or_plan_is_refused_by_name() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let (job, _) = given.done(&dir.path().join("job"), &sweeps());
    let refused = |error: StudyError, expected: &str, path: &str| match &error {
        StudyError::OtherJob { what, path: found, .. } => {
            assert_eq!(*what, expected);
            assert!(found.to_string_lossy().contains(path), "{error}");
        }
        _ => panic!("{error}"),
    };
    refused(ShardRun::new(&job, "flex", &given.model, "other").err().unwrap(), "model", "job");

    let other_model = JobModel::new(&given.model, "other", "nowhere", "02cd");
    let other_model = JobPlan::new(&given.model, other_model, JobCorpus::new("text", &given.windows), &given.windows);
    let other_model = given.job(&dir.path().join("m"), other_model.unwrap());
    ShardRun::new(&other_model, "flex", &given.model, "02cd").unwrap().run().unwrap();
    let shorter = Given { windows: given.windows.clone().take(6), ..Given::new() };
    let others = [
        ("model", other_model, "m"),
        ("corpus", shorter.done(&dir.path().join("c"), &sweeps()).0, "c"),
        ("plan", given.done(&dir.path().join("p"), &sweeps()[..2]).0, "p"),
    ];
    for (what, other, path) in others {
        // Another job in place of a copy, and another's record among ours.
        refused(job.merge(std::slice::from_ref(&other)).unwrap_err(), what, path);
        let record = |job: &Job| job.path().join("steps/000000.json");
        let kept = fs::read(record(&job)).unwrap();
        fs::copy(record(&other), record(&job)).unwrap();
        refused(job.merge(&[]).unwrap_err(), what, "000000.json");
        fs::write(record(&job), kept).unwrap();
    }
    let again = Job::create(job.path(), given.plan_of(&sweeps()), given.windows.clone());
    assert!(matches!(again, Err(StudyError::JobExists { .. })));
}

#[test]
fn what_is_damaged_is_named() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let (_, merged) = given.done(dir.path(), &sweeps());
    let damage = |file: &str, change: &dyn Fn(String) -> String| {
        let path = dir.path().join(file);
        let kept = fs::read(&path).unwrap();
        let (before, lossy) = (kept.clone(), String::from_utf8_lossy(&kept).into_owned());
        let after = change(lossy);
        assert_ne!(before, after.as_bytes(), "{file} is changed");
        fs::write(&path, after).unwrap();
        let error = Job::open(dir.path()).and_then(|job| job.merge(&[])).unwrap_err();
        fs::write(&path, kept).unwrap();
        assert!(error.to_string().contains(file), "{file}: {error}");
        error
    };
    for file in ["job.json", "tokens.bin", "steps/000003.json"] {
        assert!(matches!(damage(file, &|_| String::new()), StudyError::JobDamaged { .. }));
        let half = |text: String| text.chars().take(text.chars().count() / 2).collect();
        assert!(matches!(damage(file, &half), StudyError::JobDamaged { .. }));
    }
    let second = fs::read_to_string(dir.path().join("steps/000002.json")).unwrap();
    damage("steps/000003.json", &|_| second.clone()); // of another step
    damage("steps/000003.json", &|text| text.replacen("\"count\":12", "\"count\":11", 1));
    for (before, after) in [
        ("\"dtype\": \"f32\"", "\"dtype\": \"f64\""),
        ("\"name\": \"delete\"", "\"name\": \"swap\""),
        ("\"1-2\"", "\"1-9\""),
        ("\"1-2\",", ""),
        ("\"n_layers\": 3", "\"n_layers\": 4"),
        ("\"seq_len\": 12", "\"seq_len\": 0"),
        ("\"n_sequences\": 7", "\"n_sequences\": 8"),
        ("\"seed\"", "\"sead\""),
    ] {
        let error = damage("job.json", &|text| text.replacen(before, after, 1));
        assert!(matches!(error, StudyError::JobDamaged { .. }), "{after}: {error}");
    }
    let plan = fs::read_to_string(dir.path().join("job.json")).unwrap();
    let values = plan.replacen("\"1-2\"", "\"0..3 | blocks.1.hook_mlp_out add(#01234567)\"", 1);
    fs::write(dir.path().join("job.json"), values).unwrap();
    let missing = Job::open(dir.path()).unwrap_err();
    assert!(missing.to_string().contains("01234567.safetensors"), "the file of values is named: {missing}");
    fs::write(dir.path().join("job.json"), plan).unwrap();
    let missing = Job::open(dir.path().join("absent")).unwrap_err();
    assert!(matches!(missing, StudyError::Io { .. }), "{missing}");
    assert_eq!(Job::open(dir.path()).unwrap().merge(&[]).unwrap().findings, merged.findings);
}

#[test]
fn a_plan_of_another_version_is_not_run() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    given.job(dir.path(), given.plan_of(&sweeps()));
    edit(&dir.path().join("job.json"), |plan| plan["versions"]["stratigraph"] = json!("9.0.0"));
    let other = Job::open(dir.path()).unwrap();
    let refused = ShardRun::new(&other, "flex", &given.model, SHA256).err().unwrap();
    assert!(matches!(refused, StudyError::OtherJob { what: "version", .. }), "{refused}");
}

#[test]
fn a_job_of_another_format_is_refused_with_the_way_out() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    given.done(dir.path(), &sweeps());
    let file = dir.path().join("job.json");
    for format in [1, 3] {
        edit(&file, |plan| plan["format"] = json!(format));
        let message = Job::open(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains(&format!("job.json has format {format}, and this version reads format 2")),
            "{message}"
        );
        assert!(message.ends_with("finish and merge the job with the version that planned it, or plan it again"));
    }
    // The plan file of format 1 has other fields.
    edit(&file, |plan| {
        *plan = json!({ "format": 1, "model": plan["model"], "experiments": ["delete"], "plans": [] });
    });
    assert!(matches!(Job::open(dir.path()), Err(StudyError::JobFormat { found: 1, .. })));
}

#[test]
fn a_record_by_the_position_of_metrics_is_damaged() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    given.done(dir.path(), &sweeps());
    edit(&dir.path().join("steps/000001.json"), |record| {
        for scored in record["scores"].as_array_mut().unwrap() {
            let by_position: Vec<_> = scored["scores"].as_object().unwrap().values().cloned().collect();
            scored["scores"] = json!({ "metrics": by_position });
        }
    });
    let damaged = Job::open(dir.path()).unwrap().merge(&[]).unwrap_err();
    assert!(
        matches!(&damaged, StudyError::JobDamaged { path, .. } if path.ends_with("steps/000001.json")),
        "{damaged}"
    );
}

/// A few bytes of a plan file must not ask for much memory or time.
#[test]
fn huge_sizes_in_a_plan_file_are_refused() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    given.job(dir.path(), given.plan_of(&sweeps()));
    let file = dir.path().join("job.json");
    let kept = fs::read(&file).unwrap();
    let long = "0..65536 | blocks.0.hook_mlp_out units=0..1048576 zero";
    let texts = |n: usize| json!(vec![long; n]);
    let counting = |length: u64| json!([{ "kind": "counting", "name": "point", "length": length }]);
    let edits = " | blocks.0.hook_mlp_out units=0..1048576 zero".repeat(99);
    let huge: [(&str, Value); 8] = [
        ("/model/n_layers", json!(1u64 << 62)),
        ("/model/n_layers", json!(20_000)),
        ("/corpus/seq_len", json!(u64::MAX)),
        ("/corpus/n_sequences", json!(u64::MAX)),
        ("/sweeps/0/axes", counting(u64::MAX)),
        ("/sweeps/0/axes", json!([counting(1 << 33)[0], counting(1 << 33)[0]])),
        ("/sweeps/0/interventions", texts(1000)),
        ("/sweeps/0/interventions/0", json!(format!("0-1-2{edits}"))),
    ];
    for (pointer, value) in huge {
        fs::write(&file, &kept).unwrap();
        edit(&file, |plan| *plan.pointer_mut(pointer).unwrap() = value);
        let refused = Job::open(dir.path()).unwrap_err();
        assert!(matches!(refused, StudyError::JobDamaged { .. }), "{pointer}: {refused}");
        let by_size =
            refused.to_string().contains("its interventions name more than 16777216 layers, heads and positions");
        assert_eq!(by_size, pointer.starts_with("/sweeps/0/interventions"), "{pointer}: {refused}");
    }
    // A step may be larger than everything there is.
    fs::write(&file, &kept).unwrap();
    edit(&file, |plan| plan["step"] = json!({ "windows": u64::MAX, "interventions": u64::MAX }));
    let job = Job::open(dir.path()).unwrap();
    assert_eq!((job.n_steps(), given.run(&job, "0/1".parse().unwrap())), (1, 1));
}

/// Whatever bytes of a plan file are changed, it is read or refused.
#[test]
fn a_changed_plan_file_never_panics() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    given.job(dir.path(), given.plan_of(&sweeps()));
    let file = dir.path().join("job.json");
    let kept = fs::read(&file).unwrap();
    let mut random = SplitMix64::new(0);
    let mut below = |n| random.below(n);
    let characters = b"0123456789-.,|[]{}\"a ";
    let (mut read, mut refused) = (0, 0);
    for _ in 0..2000 {
        let mut bytes = kept.clone();
        let at = below(bytes.len());
        match below(3) {
            0 => bytes[at] = characters[below(characters.len())],
            1 => drop(bytes.drain(at..(at + below(8)).min(kept.len()))),
            _ => bytes.splice(at..at, *b"99").for_each(drop),
        }
        fs::write(&file, bytes).unwrap();
        match Job::open(dir.path()).and_then(|job| job.status(&[])) {
            Ok(status) => read += usize::from(status.n_steps > 0),
            Err(_) => refused += 1,
        }
    }
    assert!(read > 100 && refused > 100, "{read} read and {refused} refused");
}

#[test]
fn a_plan_that_was_read_cannot_be_added_to() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    given.job(dir.path(), given.plan_of(&sweeps()));
    let plan = Job::open(dir.path()).unwrap().plan().clone();
    let refused = plan.with_sweep(&Sweep::repeat(2)).unwrap_err();
    assert!(refused.to_string().contains("plan the job again"), "{refused}");
}

#[test]
fn a_job_says_what_it_does_in_one_line() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let twice: Intervention = "2-2".parse().unwrap();
    let job = given.job(dir.path(), given.plan_of(&sweeps()).with_intervention(twice).unwrap());
    let expected = "small: 9 interventions (delete, swap, lens, 1 single) on 7 windows of 12 tokens of text, \
                    in 12 steps of 2 windows and 3 interventions";
    assert_eq!(job.to_string(), expected);
}
