//! Documents, windows and BOS on the command line.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::common::{fails, fixture, path, program, repository, succeeds, text};

/// A study of the fixture's unchanged model in windows of 16 tokens.
fn small(extra: &[&str]) -> Vec<String> {
    let model = fixture("llama-gqa");
    let arguments = ["study", "--model", path(&model), "--seq-len", "16", "--experiments", "lens"];
    arguments.iter().chain(extra).map(|it| (*it).to_owned()).collect()
}

fn profile(extra: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    succeeds([small(extra), vec!["--out".to_owned(), path(&out).to_owned()]].concat());
    serde_json::from_slice(&fs::read(out.join("profile.json")).unwrap()).unwrap()
}

#[test]
fn corpora_of_documents_are_recorded() {
    let documents = repository().join("examples/data/documents.jsonl");
    let found = profile(&["--text", path(&documents), "--sequences", "24", "--seed", "5", "--skip-first", "1"]);
    let corpus = &found["corpus"];
    assert_eq!(corpus["name"], "documents.jsonl");
    assert_eq!(corpus["documents"].as_array().unwrap().len(), 24);
    assert_eq!(corpus["sampling"], serde_json::json!({ "windows": "random over documents", "seed": 5 }));
    assert_eq!((&corpus["skip_first"], &corpus["bos"]), (&1.into(), &Value::Null));
    let errors = &found["curves"]["lens_kl"]["errors"];
    assert_eq!((&errors["over"], &errors["n"]), (&"documents".into(), &24.into()));
    let again = profile(&["--text", path(&documents), "--sequences", "24", "--seed", "5", "--skip-first", "1"]);
    assert_eq!(again["curves"], found["curves"]);
    let other = profile(&["--text", path(&documents), "--sequences", "24", "--seed", "6", "--skip-first", "1"]);
    assert_ne!(other["curves"], found["curves"]);
}

#[test]
fn corpora_are_read_from_files_directories_and_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let sample = fs::read_to_string(repository().join("examples/data/sample.txt")).unwrap();
    let (first, second) = sample.split_at(sample.find("\n\n").unwrap() + 2);
    let (one, two) = (dir.path().join("1.txt"), dir.path().join("2.txt"));
    fs::write(&one, first).unwrap();
    fs::write(&two, second).unwrap();
    let way = ["--sequences", "4", "--windows", "first"];
    let files = profile(&[&["--text", path(&one), "--text", path(&two)], &way[..]].concat());
    let directory = profile(&[&["--text", path(dir.path())], &way[..]].concat());
    assert_eq!(files["curves"], directory["curves"]);
    assert_eq!(files["corpus"]["name"], "1.txt, 2.txt");

    let whole = profile(&way);
    let input = Stdio::from(fs::File::open(repository().join("examples/data/sample.txt")).unwrap());
    let out = dir.path().join("out");
    let arguments = [small(&["--text", "-", "--out", path(&out)]), way.map(str::to_owned).to_vec()].concat();
    let output = program().args(arguments).stdin(input).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let piped: Value = serde_json::from_slice(&fs::read(out.join("profile.json")).unwrap()).unwrap();
    assert_eq!((&piped["curves"], &piped["corpus"]["name"]), (&whole["curves"], &"standard input".into()));
    fails(small(&["--text", "-", "--text", path(&one)]), "give no other --text beside it");
}

#[test]
fn corpora_say_what_is_wrong_with_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let lines = dir.path().join("lines.jsonl");
    fs::write(&lines, "{\"body\": \"x\"}\n").unwrap();
    fails(small(&["--text", path(&lines)]), "line 1: it has no field `text`, but `body`");
    fails(small(&["--text", path(&lines), "--text-field", "body"]), "has no document of 16 tokens");
    fails(small(&["--bos", "always"]), "the tokenizer names no BOS token");
    fails(small(&["--skip-first", "15"]), "--skip-first leaves no position");
    let broken = dir.path().join("broken.txt");
    let sample = fs::read(repository().join("examples/data/sample.txt")).unwrap();
    fs::write(&broken, [b"\xff\xfe", &sample[..]].concat()).unwrap();
    fails(small(&["--text", path(&broken)]), "broken.txt is not UTF-8 at byte 0");
    succeeds(small(&["--text", path(&broken), "--lossy", "--sequences", "2"]));
}

#[cfg(target_os = "linux")]
#[test]
fn corpora_of_ten_gigabytes_take_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let huge = dir.path().join("huge.txt");
    let sample = fs::read(repository().join("examples/data/sample.txt")).unwrap();
    fs::write(&huge, sample).unwrap();
    // The rest is a hole, which reads as zeros.
    fs::OpenOptions::new().write(true).open(&huge).unwrap().set_len(10 << 30).unwrap();
    let peak = |extra: &[&str]| -> u64 {
        let mut child = program().args(small(extra)).stdout(Stdio::null()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        while child.try_wait().unwrap().is_none() {
            let status = fs::read_to_string(&status).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            peak = kilobytes.unwrap_or(peak);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert!(child.wait().unwrap().success());
        peak << 10
    };
    let small_text = peak(&["--sequences", "2"]);
    for windows in ["first", "random"] {
        let of_huge = peak(&["--sequences", "2", "--text", path(&huge), "--windows", windows]);
        assert!(of_huge < small_text + (100 << 20), "{windows}: {of_huge} bytes, and {small_text} with a small text");
    }
}
