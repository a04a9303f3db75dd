//! Effects by token and steering, as users of `study` and `sweep` ask for them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{fails, is_misused, path, succeeds};

/// A study of the model in the box that takes a moment.
fn small_with(more: &[&str]) -> Vec<String> {
    let base = ["study", "--sequences", "2", "--seq-len", "16"];
    base.iter().chain(more).map(|&argument| argument.to_owned()).collect()
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn groups_are_printed_written_and_the_same_in_shards() {
    let dir = tempfile::tempdir().unwrap();
    let (out, csv) = (dir.path().join("out"), dir.path().join("all.csv"));
    let by = ["--experiments", "delete", "--intervention", "first=0", "--by", "class,frequency,position,word"];
    let told = succeeds(small_with(&[&by[..], &["--out", path(&out), "--csv", path(&csv)]].concat()));
    for part in ["delete_kl_by_class, nats:", "word start", "\npositions ", "  kl by word: single token "] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let profile = json(&out.join("profile.json"));
    let groups = profile["interventions"][1]["groups"]["position"].as_array().unwrap();
    let labels: Vec<_> = groups.iter().map(|group| group["group"].as_str().unwrap()).collect();
    assert_eq!(labels, ["0", "1-3", "4-15"]);
    assert_eq!(groups[2]["positions"], 2 * 12);
    assert_eq!(profile["matrices"]["delete_kl_by_position"]["values"].as_array().unwrap().len(), 12);
    assert!(out.join("figures/by_tokens.svg").is_file());
    let rows = fs::read_to_string(out.join("groups.csv")).unwrap();
    assert!(rows.starts_with("intervention,sweep,index,grouping,group,positions,"), "{rows}");
    assert!(fs::read_to_string(csv).unwrap().contains("kl_by_position,first,1-3,"));

    let (job, merged) = (dir.path().join("job"), dir.path().join("merged"));
    let plan = ["sweep", "plan", path(&job), "--sequences", "2", "--seq-len", "16", "--windows-per-step", "1"];
    succeeds([&plan[..], &by].concat());
    assert_eq!(fs::metadata(job.join("groups.bin")).unwrap().len(), 4 * 2 * 16 * 2);
    for shard in ["1/2", "0/2"] {
        succeeds(["sweep", "run", path(&job), "--shard", shard]);
    }
    succeeds(["sweep", "merge", path(&job), "--out", path(&merged)]);
    let other = json(&merged.join("profile.json"));
    for (one, other) in
        profile["interventions"].as_array().unwrap().iter().zip(other["interventions"].as_array().unwrap())
    {
        let (one, other) = (&one["groups"]["class"], &other["groups"]["class"]);
        for (one, other) in one.as_array().unwrap().iter().zip(other.as_array().unwrap()) {
            let loss = |group: &Value| group["metrics"]["nll"]["mean"].as_f64().unwrap_or(0.0);
            assert_eq!((&one["group"], &one["positions"]), (&other["group"], &other["positions"]));
            assert!((loss(one) - loss(other)).abs() < 1e-4, "{one} {other}");
        }
    }
    is_misused(small_with(&["--by", "kind"]), "kind");
}

/// The arguments that steer from one file of prompts to another.
fn steering(dir: &Path) -> Vec<String> {
    let file = |name: &str, text: &str| {
        let file = dir.join(name);
        fs::write(&file, text).unwrap();
        path(&file).to_owned()
    };
    let toward = file("toward", "the great white whale\n\nthe sea and the white whale\r\n");
    let (away, asked) = (file("away", "the United States\n"), file("asked", "We must all look after the\n"));
    let arguments =
        ["--experiments", "steering", "--steer-layer", "6", "--steer-strengths", "-0.5,0,1", "--steer-toward"];
    let files = [&toward, "--steer-away", &away, "--steer-prompts", &asked, "--steer-target", " whale"];
    arguments.into_iter().chain(files).map(str::to_owned).collect()
}

#[test]
fn steering_is_measured_on_the_text_and_on_prompts() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let arguments = |more: &[&str]| [small_with(more), steering(dir.path())].concat();
    let told = succeeds(arguments(&["--out", path(&out)]));
    assert!(told.contains("strength  steer_target  steer_nll  steer_kl") && told.contains("\n-0.5 "), "{told}");
    let profile = json(&out.join("profile.json"));
    let mean = |curve: &str| -> Vec<f64> {
        profile["curves"][curve]["mean"].as_array().unwrap().iter().map(|mean| mean.as_f64().unwrap()).collect()
    };
    assert_eq!(profile["curves"]["steer_nll"]["axis"]["labels"], serde_json::json!(["-0.5", "0", "1"]));
    assert_eq!(mean("steer_kl")[1], 0.0);
    let target = mean("steer_target");
    assert!(target[0] < target[1] && target[1] < target[2], "{target:?}");
    assert!(out.join("figures/steering.svg").is_file());
    let against = succeeds(arguments(&["--steer-against", " people"]));
    assert!(against.contains("2 windows of 16 tokens"), "{against}");
}

#[test]
fn a_vector_is_read_from_a_file_and_what_does_not_fit_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        path(&file).to_owned()
    };
    let numbers = |n: usize| format!("{:?}", vec![0.5; n]);
    let along = |vector: &str, more: &[&str]| {
        let base = ["--experiments", "steering", "--steer-strengths", "0,1", "--steer-vector", vector];
        small_with(&[&base[..], more].concat())
    };
    let width = json(&crate::common::repository().join("models/tiny/config.json"))["n_embd"].as_u64().unwrap();
    let vector = file("vector.json", &numbers(width as usize));
    succeeds(along(&vector, &[]));
    fails(
        along(&file("short.json", &numbers(3)), &[]),
        "short.json is damaged or not what it seems: it has 3 numbers, and 128 are needed",
    );
    fails(along(&file("text.json", "a vector"), &[]), "neither a JSON array of numbers nor a safetensors file");
    fails(along(&vector, &["--steer-layer", "12"]), "--steer-layer: layer 12 does not exist: the model has 12 layers");
    let (asked, none) = (file("asked", "We must all\n"), file("none", "\n \n"));
    fails(
        along(&vector, &["--steer-prompts", &none, "--steer-target", " the"]),
        "none has no prompts; write one per line",
    );
    fails(along(&vector, &["--steer-prompts", &asked, "--steer-target", "of the people"]), "of the people");
    fails(small_with(&["--experiments", "steering"]), "steering needs a direction: give --steer-toward FILE");
    fails(small_with(&["--steer-vector", &vector]), "add it to --experiments");
    is_misused(along(&vector, &["--steer-target", " the"]), "--steer-prompts");
    is_misused(along(&vector, &["--steer-toward", &asked]), "--steer-vector");
}
