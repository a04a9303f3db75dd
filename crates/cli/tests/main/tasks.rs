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
