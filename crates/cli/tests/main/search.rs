//! `search` as its users run it: to the end, killed and run again, and with wrong input.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::common::{fails, is_misused, path, program, succeeds};

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
fn killed_over_its_first_file_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join(".search.json.Ab3dEf.partial"), "{").unwrap();
    succeeds(search(&out, &["--remove", "1"]));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 4, "nothing is left of it");
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("notes.partial"), "{").unwrap();
    fails(search(&other, &["--remove", "1"]), "is not empty");
}

#[test]
fn shards_make_one_search() {
    let dir = tempfile::tempdir().unwrap();
    let (alone, shared) = (dir.path().join("alone"), dir.path().join("shared"));
    let arguments = ["--remove", "2", "--first-windows", "2"];
    succeeds(search(&alone, &[&arguments[..], &["--shard", "0/1"]].concat()));
    let start = |shard| {
        let mut child = program();
        let arguments = [&arguments[..], &["--shard", shard]].concat();
        child.args(search(&shared, &arguments)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let shards = ["0/2", "1/2"].map(start);
    assert!(shards.into_iter().all(|mut shard| shard.wait().unwrap().success()));
    assert_eq!((json(&shared), plan(&shared)), (json(&alone), plan(&alone)));
    // One that begins without shards differs by rounding alone.
    let whole = dir.path().join("whole");
    succeeds(search(&whole, &arguments));
    assert_eq!(plan(&whole), plan(&alone));
    is_misused(["search", "--remove", "1", "--shard", "0/2"], "--out");
}

#[test]
fn answers_to_a_benchmark_are_an_objective() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let items = "arc_easy=examples/data/tasks/arc_easy.jsonl";
    let fixed = ["search", "--task", items, "--remove", "1", "--out", path(&out)];
    let text = succeeds([&fixed[..], &["--budget", "500"]].concat());
    for part in ["# Log-probability of the right answer (arc_easy_log_prob)", "items, validated on", "paired by item"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let record = json(&out);
    assert_eq!((record["setup"]["unit"].as_str(), record["setup"]["goal"].as_str()), (Some("items"), Some("highest")));
    assert!(record["state"]["evaluated"].as_u64().unwrap() <= 500);
    assert!(fs::read_to_string(out.join("search.svg")).unwrap().contains("best plan, unseen items"));
    fails([&fixed[..], &["--objective", "acc"]].concat(), "of another objective: arc_easy_log_prob");
    fails([&fixed[..], &["--objective", "nll"]].concat(), "known: acc, acc_norm, log_prob");
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
