//! A job that is killed while it measures, and not while it scores interventions, goes on where it was.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::common::{fixture, path, program};
use crate::sweep::{assert_same_as, assert_whole, files, succeeds};

/// Plans a job of scores, direct effects and patching in steps of one window.
fn plan(job: &Path) {
    let pairs = fixture("pairs.jsonl");
    let size = ["--sequences", "12", "--seq-len", "64", "--windows-per-step", "1"];
    let measured = ["--experiments", "effects,patching", "--pairs", path(&pairs), "--metrics", "kl,nll"];
    succeeds(&[&["plan", path(job)], &size[..], &measured].concat());
}

/// The steps of a job that is done, in their order: whether each has scores, or else the key of what it measured.
fn steps(job: &Path) -> Vec<&'static str> {
    let holds = |content: &[u8]| {
        let record: serde_json::Value = serde_json::from_slice(content).unwrap();
        let keys = ["scores", "measures", "findings"];
        keys.into_iter().find(|key| !record[key].is_null()).expect("a record holds something")
    };
    files(&job.join("steps")).iter().map(|(_, content)| holds(content)).collect()
}

/// Runs a job, and kills it a moment after its first `n` steps are done; whether it was killed.
fn killed_after(job: &Path, n: usize, moment: Duration) -> bool {
    let mut child = program();
    let child = child.args(["sweep", "run", path(job)]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    loop {
        match child.try_wait().unwrap() {
            Some(status) => {
                assert!(status.success());
                return false;
            }
            None if files(&job.join("steps")).len() >= n => {
                sleep(moment);
                child.kill().unwrap(); // SIGKILL
                return child.wait().unwrap().code().is_none();
            }
            None => sleep(Duration::from_millis(1)),
        }
    }
}

#[test]
fn killed_while_it_measures_it_goes_on_and_gives_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (killed, undisturbed) = (dir.path().join("killed"), dir.path().join("undisturbed"));
    plan(&killed);
    plan(&undisturbed);
    succeeds(&["run", path(&undisturbed)]);
    let steps = steps(&undisturbed);
    // Effects are measured after the scores of each window, and patching at the end.
    let of = |kind: &str| steps.iter().filter(|step| **step == kind).count();
    assert_eq!((of("scores"), of("measures"), of("findings"), *steps.last().unwrap()), (12, 12, 1, "findings"));
    let (mut of_windows, mut of_pairs, mut moment) = (0, 0, 0);
    loop {
        // The next measurement that begins when this run has done a step.
        let done = files(&killed.join("steps")).len();
        let Some(next) = (done + 1..steps.len()).find(|&step| steps[step] != "scores") else { break };
        moment = (moment + 1_237) % 8_000; // microseconds
        let was_killed = killed_after(&killed, next, Duration::from_micros(moment));
        assert_whole(&killed);
        match steps.get(files(&killed.join("steps")).len()).filter(|_| was_killed) {
            Some(&"measures") => of_windows += 1,
            Some(&"findings") => of_pairs += 1,
            _ => {}
        }
    }
    assert!(of_windows >= 3 && of_pairs >= 1, "killed in {of_windows} measurements of windows, {of_pairs} of pairs");
    succeeds(&["run", path(&killed)]);
    assert_same_as(&killed, &undisturbed);
    assert_eq!(fs::read_dir(killed.join("steps")).unwrap().count(), steps.len(), "what killed processes left is gone");
}
