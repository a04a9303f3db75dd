//! `sweep` as its users run it: killed at any moment, on a full disk, many at once, and with wrong input.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::common::{self, fixture, is_misused, path, program, skipped};

fn sweep<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["sweep"], arguments].concat()
}

#[track_caller]
pub fn succeeds(arguments: &[&str]) -> String {
    common::succeeds(sweep(arguments))
}

#[track_caller]
fn fails(arguments: &[&str], part: &str) {
    common::fails(sweep(arguments), part);
}

/// Plans a job on the model in the box, of steps that take some hundredths of a second each.
fn plan(job: &Path, sequences: &str) {
    let per_token: &[&str] = if cfg!(feature = "parquet") { &["--per-token"] } else { &[] };
    let arguments = ["plan", path(job), "--sequences", sequences, "--seq-len", "64", "--windows-per-step", "1"];
    succeeds(&[&arguments[..], per_token].concat());
}

/// A job that was planned and done and that nothing happened to.
fn undisturbed(dir: &Path, sequences: &str) -> PathBuf {
    let job = dir.join("undisturbed");
    plan(&job, sequences);
    succeeds(&["run", path(&job)]);
    job
}

/// The files of a directory, those under way left out, with their content.
pub fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).into_iter().flatten().map(Result::unwrap);
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    let mut files: Vec<_> = named.filter(|(name, _)| !name.starts_with('.')).collect();
    files.sort();
    files.into_iter().map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

/// Checks that every file of a job is whole, whatever happened to who wrote it.
pub fn assert_whole(job: &Path) {
    for (name, content) in files(&job.join("steps")) {
        serde_json::from_slice::<serde_json::Value>(&content).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, content) in files(&job.join("tokens")) {
        assert!(content.starts_with(b"PAR1") && content.ends_with(b"PAR1"), "{name}");
    }
}

/// Checks that a finished job gives what the same job gave that nothing happened to.
pub fn assert_same_as(job: &Path, undisturbed: &Path) {
    assert_eq!(files(&job.join("steps")), files(&undisturbed.join("steps")), "every step, to the bit");
    assert_eq!(files(&job.join("tokens")), files(&undisturbed.join("tokens")));
    let merged = |job: &Path| {
        let out = tempfile::tempdir().unwrap();
        succeeds(&["merge", path(job), "--out", path(out.path())]);
        let profile: serde_json::Value =
            serde_json::from_slice(&fs::read(out.path().join("profile.json")).unwrap()).unwrap();
        assert_eq!(out.path().join("sequences.parquet").is_file(), cfg!(feature = "parquet"));
        (profile["curves"].clone(), profile["stages"].clone())
    };
    assert_eq!(merged(job), merged(undisturbed));
}

#[test]
fn killed_at_any_moment_it_loses_the_step_under_way_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (killed, undisturbed) = (dir.path().join("killed"), undisturbed(dir.path(), "32"));
    plan(&killed, "32");
    let (mut kills, mut before) = (0u32, Vec::new());
    loop {
        let mut child = program();
        let child = child.args(sweep(&["run", path(&killed)])).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        // One step more, or two, and then at some moment of the next.
        let steps = before.len() + 1 + kills as usize % 2;
        let moment = Duration::from_micros(u64::from(kills) * 7919 % 30_000);
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if files(&killed.join("steps")).len() >= steps => {
                    sleep(moment);
                    child.kill().unwrap(); // SIGKILL
                    break child.wait().unwrap();
                }
                None => sleep(Duration::from_millis(1)),
            }
        };
        assert_whole(&killed);
        let now = files(&killed.join("steps"));
        assert!(before.iter().all(|file| now.contains(file)), "a step that was done stays as it was");
        before = now;
        if status.success() {
            break;
        }
        assert_eq!(status.code(), None, "it was killed and did not fail");
        kills += 1;
        assert!(kills < 100, "it gets on");
    }
    assert!(kills >= 3, "killed {kills} times only");
    assert_same_as(&killed, &undisturbed);
    assert_eq!(fs::read_dir(killed.join("steps")).unwrap().count(), 32, "what killed processes left is gone");
}

#[test]
fn many_at_once_count_each_step_once() {
    let dir = tempfile::tempdir().unwrap();
    let (shared, undisturbed) = (dir.path().join("shared"), undisturbed(dir.path(), "12"));
    plan(&shared, "12");
    let shards = ["0/3", "1/3", "2/3", "1/3", "0/1"]; // two of them twice
    let spawn = |shard: &str| {
        let mut command = program();
        let command = command.args(sweep(&["run", path(&shared), "--shard", shard]));
        command.stderr(Stdio::inherit()).stdout(Stdio::null()).spawn().unwrap()
    };
    for mut child in shards.map(spawn) {
        assert!(child.wait().unwrap().success());
    }
    assert_same_as(&shared, &undisturbed);
    assert!(succeeds(&["status", path(&shared), "--shards", "3"]).contains("12 of 12 steps done"));
}

/// Runs a shell in a small file system of its own at `directory`; says why where the system does not allow it.
fn on_a_small_disk(directory: &Path, kilobytes: usize, script: &str) -> Result<Output, String> {
    let mounted =
        format!("mount -t tmpfs -o size={kilobytes}k tmpfs '{0}' || exit 99; cd '{0}'; {script}", path(directory));
    let user: &[&str] =
        if cfg!(target_os = "linux") { &["--user", "--map-root-user", "--mount"] } else { &["--mount"] };
    let output = Command::new("unshare").args(user).args(["sh", "-c", &mounted]).output();
    match output {
        Err(reason) => Err(format!("there is no unshare: {reason}")),
        Ok(output) if output.status.code() == Some(99) || !output.stderr.is_empty() && output.stdout.is_empty() => {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
        Ok(output) => Ok(output),
    }
}

#[test]
fn a_full_disk_is_one_error_and_room_lets_it_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let undisturbed = undisturbed(dir.path(), "12");
    let bytes: usize =
        ["steps", "tokens"].iter().flat_map(|part| files(&undisturbed.join(part))).map(|file| file.1.len()).sum();
    let (disk, kept) = (dir.path().join("disk"), dir.path().join("kept"));
    fs::create_dir(&disk).unwrap();
    let program = program().get_program().to_owned();
    // Half of it fits. Then everything that is there is moved to where there is room.
    let script = format!(
        "cp '{job}/job.json' '{job}/tokens.bin' .; '{program}' sweep run . 2>&1; echo \"code $?\"; \
         cp -r . '{kept}'",
        job = path(&undisturbed),
        program = program.to_str().unwrap(),
        kept = path(&kept),
    );
    let output = match on_a_small_disk(&disk, bytes / 2 / 1024, &script) {
        Ok(output) => output,
        Err(reason) => return skipped(&format!("no file system of one's own: {reason}")),
    };
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("code 1"), "{told}");
    let errors: Vec<_> = told.lines().filter(|line| line.contains("error")).collect();
    assert!(matches!(errors[..], [one] if one.contains("No space left on device")), "{told}");
    assert_whole(&kept);
    let steps = files(&kept.join("steps")).len();
    assert!((1..12).contains(&steps), "{steps} steps fit");
    succeeds(&["run", path(&kept)]);
    assert_same_as(&kept, &undisturbed);
}

#[test]
fn measurements_in_shards_give_what_a_study_gives() {
    let dir = tempfile::tempdir().unwrap();
    let (job, merged, study) = (dir.path().join("job"), dir.path().join("merged"), dir.path().join("study"));
    let vector = dir.path().join("vector.json");
    fs::write(&vector, serde_json::to_string(&vec![0.25f32; 128]).unwrap()).unwrap();
    let pairs = fixture("pairs.jsonl");
    let measured = ["--sequences", "3", "--seq-len", "32", "--metrics", "kl,nll", "--seed", "5", "--experiments"];
    let experiments = ["effects,neuron_sets,knock_out_words,steering,patching", "--pairs", path(&pairs)];
    let options = ["--steer-vector", path(&vector), "--steer-strengths", "0,1"];
    let measured = [&measured[..], &experiments, &options].concat();
    let told = succeeds(&[&["plan", path(&job), "--windows-per-step", "2"], &measured[..]].concat());
    assert!(told.contains("direct effects") && told.contains("patching"), "{told}");
    for shard in ["1/2", "0/2"] {
        succeeds(&["run", path(&job), "--shard", shard]);
    }
    succeeds(&["merge", path(&job), "--out", path(&merged)]);
    common::succeeds([&["study", "--out", path(&study)], &measured[..]].concat());
    let profile = |out: &Path| -> serde_json::Value {
        serde_json::from_slice(&fs::read(out.join("profile.json")).unwrap()).unwrap()
    };
    let (merged, study) = (profile(&merged), profile(&study));
    for part in ["curves", "matrices"] {
        let (merged, study) = (merged[part].as_object().unwrap(), study[part].as_object().unwrap());
        assert!(merged.keys().eq(study.keys()), "{:?} and {:?}", merged.keys(), study.keys());
    }
    for curve in ["self_repair_attention", "neuron_sets_difference_kl", "knock_out_words_kl", "steer_nll"] {
        let means = |profile: &serde_json::Value| -> Vec<f64> {
            let means = profile["curves"][curve]["mean"].as_array().unwrap_or_else(|| panic!("{curve}"));
            means.iter().map(|mean| mean.as_f64().unwrap()).collect()
        };
        for (a, b) in means(&merged).iter().zip(means(&study)) {
            assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{curve}: {a} and {b}");
        }
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let (job, model, absent) = (dir.path().join("job"), fixture("llama-gqa"), dir.path().join("absent"));
    let planned = ["plan", path(&job), "--model", path(&model), "--sequences", "4", "--seq-len", "16"];
    let more = ["--windows-per-step", "2", "--interventions-per-step", "4", "--intervention", "turned=0-2-1"];
    let told = succeeds(&[&planned[..], &more].concat());
    assert!(told.contains("llama-gqa: 8 interventions (delete, swap, lens, 1 single)"), "{told}");
    assert!(told.contains("on 4 windows of 16 tokens of sample.txt, in 4 steps of 2 windows"), "{told}");
    fails(&planned, "already holds a job");
    let own = dir.path().join("own");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("notes.txt"), "mine").unwrap();
    fails(&["plan", path(&own)], "holds notes.txt, which is no job's");
    fails(&["plan", path(&absent), "--experiments", "remove_by_taylor"], "whole corpus in one process");
    fails(&["run", path(&absent)], "absent");
    fails(&["run", path(&job), "--model", path(&fixture("llama-untied"))], "is of another model");
    fails(&["merge", path(&job)], "missing: 0 to 3");
    assert_eq!(succeeds(&["run", path(&job), "--shard", "1/4"]), "shard 1/4: 1 of 1 steps done on flex\n");
    assert_eq!(succeeds(&["run", path(&job), "--shard", "1/4"]), "shard 1/4: nothing left to do\n");
    let status = succeeds(&["status", path(&job), "--shards", "2"]);
    assert!(status.contains("1 of 4 steps") && status.contains("missing: 0, 2 to 3"), "{status}");
    assert!(status.contains("shards with steps left: 0/2, 1/2"), "{status}");
    succeeds(&["run", path(&job), "--shard", "3/9"]); // more shards than steps: some have nothing to do
    let rest = succeeds(&["run", path(&job), "--device", "flex", "--device", "flex"]);
    assert!(rest.starts_with("shard 0/1: ") && rest.contains("of 4 steps done on flex, flex"), "{rest}");
    let merged = succeeds(&["merge", path(&job)]);
    assert!(merged.contains("turned: "), "{merged}");
    let out = dir.path().join("full");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("file"), "").unwrap();
    fails(&["merge", path(&job), "--out", path(&out)], "is not empty");
}

#[test]
fn what_cannot_be_sharded_is_refused_before_a_job_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let job = dir.path().join("nowhere/job");
    let model = fixture("llama-gqa");
    let plan = |option: &'static str, value: &str| {
        let arguments =
            ["plan", path(&job), "--model", path(&model), "--sequences", "2", "--seq-len", "16", option, value];
        arguments.map(str::to_owned)
    };
    let refused = |arguments: [String; 10], part: &str| fails(&arguments.each_ref().map(String::as_str), part);
    refused(plan("--experiments", "attention"), "cannot shard attention: it needs the whole corpus in one process");
    refused(plan("--experiments", "wic"), "cannot shard wic: it is not measured on the windows of a corpus");
    refused(plan("--experiments", "steering"), "steering needs a direction: give --steer-toward FILE");
    refused(plan("--steer-layer", "1"), "options --steer-... are for the experiment steering");
    refused(plan("--pairs", "absent"), "--pairs and --skip-unfit-pairs are for patching");
    refused(plan("--experiments", "lens_after_first"), "the sweep lens cannot be limited to positions");
    refused(plan("--intervention", "0-99"), "99");
    refused(plan("--metrics", "perplexity"), "unknown metric `perplexity`");
    refused(plan("--text", path(&dir.path().join("absent"))), "cannot read");
    is_misused(sweep(&["plan", path(&job), "--experiments", "delte"]), "unknown experiment");
    assert!(!dir.path().join("nowhere").exists());
}
