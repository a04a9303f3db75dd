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

/// Prompts whose text begins with a point give the numbers of prompts without it, where the point is BOS.
#[test]
fn prompts_begin_with_bos_where_windows_do() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    fs::create_dir(&model).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(repository().join("models/tiny").join(file), model.join(file)).unwrap();
    }
    fs::write(model.join("tokenizer_config.json"), r#"{"add_bos_token": true, "bos_token": "."}"#).unwrap();
    let pairs = fs::read_to_string(fixture("pairs.jsonl")).unwrap();
    let point_before =
        |pairs: String, letter: char| pairs.replace(&format!("\": \"{letter}"), &format!("\": \".{letter}"));
    let prompts = [
        ("pairs.jsonl", pairs.clone(), ['T', 'I', 'W'].into_iter().fold(pairs, point_before)),
        ("toward.txt", "The great whale\nThe sea\n".to_owned(), ".The great whale\n.The sea\n".to_owned()),
        ("away.txt", "The States\n".to_owned(), ".The States\n".to_owned()),
    ];
    for (name, text, after_point) in prompts {
        assert_ne!(text, after_point);
        fs::write(dir.path().join(name), text).unwrap();
        fs::write(dir.path().join(format!("point-{name}")), after_point).unwrap();
    }
    let measured = |bos: &str, prefix: &str| {
        let out = dir.path().join(format!("{bos}{prefix}"));
        let [pairs, toward, away] =
            ["pairs.jsonl", "toward.txt", "away.txt"].map(|name| dir.path().join(format!("{prefix}{name}")));
        let study = ["study", "--sequences", "4", "--seq-len", "16", "--experiments", "patching,steering"];
        let study = [&study[..], &["--model", path(&model), "--bos", bos, "--out", path(&out)]].concat();
        let prompts = ["--pairs", path(&pairs), "--steer-toward", path(&toward), "--steer-away", path(&away)];
        let target = ["--steer-prompts", path(&toward), "--steer-target", " of", "--steer-layer", "3"];
        succeeds([&study[..], &prompts, &target].concat());
        let profile: Value = serde_json::from_slice(&fs::read(out.join("profile.json")).unwrap()).unwrap();
        (profile["matrices"]["patch_resid_pre_denoise"].clone(), profile["curves"]["steer_target"]["mean"].clone())
    };
    let (auto, after_point, never) = (measured("auto", ""), measured("never", "point-"), measured("never", ""));
    assert_eq!(auto, after_point);
    assert!(auto.0 != never.0 && auto.1 != never.1 && !auto.1.is_null());
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
