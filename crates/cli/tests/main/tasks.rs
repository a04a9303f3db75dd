//! `tasks` of which the model writes the answers, as its users run it.

use std::fs;

use crate::common::{fails, is_misused, path, succeeds};

#[test]
fn answers_are_written_and_scored() {
    let dir = tempfile::tempdir().unwrap();
    let (csv, items) = (dir.path().join("scores.csv"), dir.path().join("items.csv"));
    let fixed =
        ["tasks", "--task", "gsm8k", "--limit", "3", "--max-new-tokens", "8", "--intervention", "short=0..5-6..12"];
    let text = succeeds([&fixed[..], &["--csv", path(&csv), "--per-item", path(&items)]].concat());
    for part in ["clean: gsm8k (3 items): strict_match 0.000", "short: gsm8k (3 items): ", "flexible_extract"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let rows = fs::read_to_string(csv).unwrap();
    assert_eq!(rows.lines().count(), 1 + 2 * 4, "{rows}");
    assert!(rows.contains("short,0..5-6..12,strict_match_change,0,"), "{rows}");
    assert!(
        fs::read_to_string(items).unwrap().starts_with("intervention,text,item,answer,strict_match,flexible_extract\n")
    );
    // The default of 256 tokens is more than the context of the model in the box.
    fails(&fixed[..5], "leaves no room for a prompt");
    let few = ["--shots", "1", "--examples", "examples/data/tasks/arc_easy.jsonl"];
    fails([&fixed[..], &few].concat(), "it has no field `answer`");
    is_misused(["tasks", "--task", "gsm9k"], "winogrande, mmlu, gsm8k");
    fails(["tasks", "--task", "arc_easy", "--max-new-tokens", "8"], "in arc_easy the model generates no text");
}

#[test]
fn a_study_and_a_job_have_the_scores_of_written_answers() {
    let dir = tempfile::tempdir().unwrap();
    let items = |task: &str| format!("{task}=examples/data/tasks/{task}.jsonl");
    let (written, scored) = (items("gsm8k"), items("arc_easy"));
    let shots = ["--task-shots", "1", "--task-examples", &scored];
    let tasks = ["--task", &written, "--task", &scored, "--task-limit", "2", "--task-max-new-tokens", "8"];
    let corpus = ["--sequences", "2", "--seq-len", "16", "--experiments", "swap"];
    let asked = [&corpus[..], &tasks, &shots].concat();
    let (study, job, merged) = (dir.path().join("study"), dir.path().join("job"), dir.path().join("merged"));
    succeeds([&["study", "--out", path(&study)], &asked[..]].concat());
    succeeds([&["sweep", "plan", path(&job)], &asked[..]].concat());
    ["0/2", "1/2"].iter().for_each(|shard| drop(succeeds(["sweep", "run", path(&job), "--shard", shard])));
    succeeds(["sweep", "merge", path(&job), "--out", path(&merged)]);
    let curves = ["gsm8k_strict_match", "gsm8k_flexible_extract_change", "arc_easy_acc_norm"];
    let profile = |out: &std::path::Path| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(out.join("profile.json")).unwrap()).unwrap()
    };
    let [of_study, of_job] = [&study, &merged].map(|out| profile(out));
    for curve in curves.map(|name| format!("swap_{name}")) {
        assert_eq!(of_study["curves"][&curve]["mean"].as_array().unwrap().len(), 11, "{curve}");
        assert_eq!(of_study["curves"][&curve], of_job["curves"][&curve], "{curve}");
    }
    assert!(fs::read_to_string(study.join("report.html")).unwrap().contains("GSM8K"));
    let refused = |arguments: &[&str], message| fails([&["study"], &corpus[..], arguments].concat(), message);
    refused(&["--task", &written, "--task-shots", "1", "--task-examples", &scored], "there is no --task arc_easy");
    refused(&["--task", &scored, "--task-max-new-tokens", "8"], "the model writes nothing in these benchmarks");
    fails(["search", "--task", &written, "--remove", "1"], "a search takes no answers that the model writes");
}
