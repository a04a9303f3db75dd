//! `search` as its users run it: to the end, killed and run again, and with wrong input.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::common::{fails, path, program, succeeds};

/// A search on the model in the box.
fn search<'a>(out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["search", "--sequences", "16", "--seq-len", "32", "--out", path(out)];
    [&fixed, more].concat()
}

fn json(out: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(out.join("search.json")).unwrap()).unwrap()
}

fn plan(out: &Path) -> String {
    fs::read_to_string(out.join("plan.txt")).unwrap()
}

#[test]
fn layers_are_removed_and_the_plan_is_validated() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("pruned");
    let text = succeeds(search(&out, &["--remove", "3", "--compare", "0..9", "--objective", "kl"]));
    for part in ["# KL divergence", "Searched on 8 windows of 32 tokens", "`0..12`", "`0..9`", "worse"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(plan(&out).trim().parse::<stratigraph_surgery::LayerPlan>().unwrap().steps().len(), 9);
    assert!(text.starts_with(fs::read_to_string(out.join("search.md")).unwrap().trim_end()));
    assert!(fs::read_to_string(out.join("search.svg")).unwrap().contains("best plan, unseen windows"));
    let record = json(&out);
    let rounds = record["state"]["rounds"].as_array().unwrap();
    assert_eq!((rounds.len(), &rounds[0]["n_candidates"]), (3, &Value::from(12)));
    // Removing three layers costs something, and the unchanged model has no divergence from itself.
    let unchanged = &record["validated"]["comparisons"][0];
    assert_eq!((unchanged["with"].as_str(), unchanged["other"].as_f64()), (Some("0..12"), Some(0.0)));
    assert!(unchanged["interval"][0].as_f64().unwrap() > 0.0, "{unchanged}");
    assert_eq!(record["state"]["stop"], "finished");
}

#[test]
fn sublayers_blocks_and_swaps_are_searched_too() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&str, &[&str], &str); 3] = [
        ("sublayers", &["--operators", "delete_attention,delete_mlp", "--remove", "2"], " zero"),
        ("random", &["--remove", "2", "--method", "random", "--restarts", "2", "--objective", "accuracy"], ""),
        ("beam", &["--operators", "repeat_block,swap", "--method", "beam", "--longest-block", "2"], ""),
    ];
    for (name, arguments, part) in cases {
        let out = dir.path().join(name);
        let text = succeeds(search(&out, arguments));
        assert!(text.contains("## Validation") && plan(&out).contains(part), "{name}: {text}");
    }
}

#[test]
fn killed_and_run_again_it_ends_as_if_nothing_had_happened() {
    let dir = tempfile::tempdir().unwrap();
    let (killed, whole) = (dir.path().join("killed"), dir.path().join("whole"));
    let arguments = ["--remove", "5", "--method", "beam"];
    succeeds(search(&whole, &arguments));
    let mut kills = 0;
    loop {
        let mut child = program();
        let child = child.args(search(&killed, &arguments)).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        let rounds = |record: Value| record["state"]["rounds"].as_array().unwrap().len();
        let wanted = kills + 1;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if killed.join("search.json").exists() && rounds(json(&killed)) >= wanted => {
                    child.kill().unwrap(); // SIGKILL
                    break child.wait().unwrap();
                }
                None => sleep(Duration::from_millis(1)),
            }
        };
        if status.success() {
            break;
        }
        assert_eq!(status.code(), None, "it was killed and did not fail");
        kills += 1;
        assert!(kills < 10, "it gets on");
    }
    assert!(kills >= 2, "killed {kills} times only");
    assert_eq!(json(&killed), json(&whole));
    assert_eq!(plan(&killed), plan(&whole));
}

#[test]
fn another_search_does_not_go_on_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let first = succeeds(search(&out, &["--remove", "1"]));
    assert_eq!(succeeds(search(&out, &["--remove", "1"])), first, "one that has ended says it again");
    fails(search(&out, &["--remove", "2"]), "of another set of options");
    fails(search(&out, &["--remove", "1", "--objective", "kl"]), "of another objective: nll");
    fails(search(&out, &["--remove", "1", "--skip-first", "1"]), "of another corpus");
    fs::write(out.join("search.json"), "{").unwrap();
    fails(search(&out, &["--remove", "1"]), "is damaged");
}

#[test]
fn what_makes_no_search_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    fails(search(&out, &["--remove", "1", "--operators", "swap"]), "no operator removes one");
    fails(search(&out, &["--remove", "1", "--objective", "perplexity"]), "unknown metric `perplexity`");
    fails(["search", "--remove", "1", "--sequences", "2"], "give more windows");
    assert!(!out.join("plan.txt").exists());
}
