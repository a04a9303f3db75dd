//! `--precision` wherever a model is loaded: it runs, it is recorded, and what differs is refused or said.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{fails, is_misused, path, run, skipped, succeeds, text};

const TEXT: [&str; 6] = ["--sequences", "2", "--seq-len", "32", "--experiments", "delete"];

fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn kl(profile: &Value) -> Vec<f64> {
    let mean = profile["curves"]["delete_kl"]["mean"].as_array().unwrap();
    mean.iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn studies_record_their_precision_and_differ_by_little() {
    let dir = tempfile::tempdir().unwrap();
    let study = |precision: &str| {
        let out = dir.path().join(precision);
        succeeds([&["study", "--precision", precision, "--out", path(&out)], &TEXT[..]].concat());
        assert!(fs::read_to_string(out.join("report.html")).unwrap().contains(&format!("<dd>{precision}</dd>")));
        json(&out.join("profile.json"))
    };
    let [full, bf16, f16] = ["f32", "bf16", "f16"].map(study);
    assert_ne!(kl(&bf16), kl(&full));
    // The model is stored in f16, which holds it as it is.
    for (profile, precision, bound) in [(&bf16, "bf16", 0.05), (&f16, "f16", 1e-4)] {
        assert_eq!(profile["model"]["precision"], precision);
        for (found, expected) in kl(profile).iter().zip(kl(&full)) {
            assert!((found - expected).abs() < bound * (expected + 0.05), "{precision}: {found} and {expected}");
        }
    }
    let profiles = ["f32", "bf16"].map(|precision| dir.path().join(precision).join("profile.json"));
    let out = dir.path().join("compared");
    let said = succeeds(["compare", path(&profiles[0]), path(&profiles[1]), "--out", path(&out)]);
    assert!(said.contains("The profiles are of different precisions (bf16, f32)"), "{said}");
}

#[test]
fn a_job_runs_in_the_precision_that_it_was_planned_with() {
    let dir = tempfile::tempdir().unwrap();
    let (job, out, studied) = (dir.path().join("job"), dir.path().join("out"), dir.path().join("studied"));
    succeeds([&["sweep", "plan", path(&job), "--precision", "bf16"], &TEXT[..]].concat());
    assert_eq!(json(&job.join("job.json"))["dtype"], "bf16");
    succeeds(["sweep", "run", path(&job)]);
    succeeds(["sweep", "merge", path(&job), "--out", path(&out)]);
    succeeds([&["study", "--precision", "bf16", "--out", path(&studied)], &TEXT[..]].concat());
    let [merged, studied] = [out, studied].map(|out| json(&out.join("profile.json")));
    assert_eq!(merged["model"]["precision"], "bf16");
    assert!(kl(&merged).iter().zip(kl(&studied)).all(|(a, b)| (a - b).abs() < 1e-5), "a job is a study in parts");
}

#[test]
fn searches_prompts_and_generation_take_it() {
    let dir = tempfile::tempdir().unwrap();
    let search = |precision: &'static str| {
        let out = dir.path().join("search");
        let arguments = ["search", "--remove", "1", "--sequences", "16", "--seq-len", "32", "--precision", precision];
        [&arguments[..], &["--out"]].concat().into_iter().map(str::to_owned).chain([path(&out).to_owned()])
    };
    succeeds(search("bf16"));
    assert_eq!(json(&dir.path().join("search/search.json"))["setup"]["model"]["precision"], "bf16");
    fails(search("f32"), "is of another precision: bf16, not f32");
    let grid = dir.path().join("grid.json");
    succeeds(["lens", "--prompt", "The king said", "--precision", "f16", "--json", path(&grid)]);
    assert_eq!(json(&grid)["model"]["precision"], "f16");
    succeeds(["generate", "--prompt", "The king said", "--max-new-tokens", "3", "--precision", "bf16"]);
    is_misused(["study", "--precision", "int8"], "unknown precision `int8`; known: f32, bf16, f16");
}

#[test]
fn a_device_without_sixteen_bit_refuses_by_name() {
    let output = run(["generate", "--prompt", "The king said", "--device", "wgpu", "--precision", "bf16"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    if !message.contains("weights cannot be held in bf16 here: 16-bit weights need a CPU device, flex or ndarray") {
        skipped(&format!("wgpu cannot be opened: {message}"));
    }
}
