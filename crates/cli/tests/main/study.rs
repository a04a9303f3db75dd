//! `study`, `compare` and `tasks` as their users run them: on fixtures, into odd directories and pipes, and with wrong input.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::common::{self, fails, fixture, path, program, run, succeeds, text};

/// The arguments of a study that takes a moment.
fn small() -> Vec<String> {
    let model = fixture("llama-gqa");
    ["study", "--model", path(&model), "--sequences", "2", "--seq-len", "16"].map(str::to_owned).to_vec()
}

fn small_with(more: &[&str]) -> Vec<String> {
    small().into_iter().chain(more.iter().map(|&argument| argument.to_owned())).collect()
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_study_prints_and_writes_what_it_found() {
    let dir = tempfile::tempdir().unwrap();
    let (out, csv) = (dir.path().join("out"), dir.path().join("all.csv"));
    let told = succeeds(small_with(&["--no-words", "--out", path(&out), "--csv", path(&csv)]));
    assert!(told.contains("2 windows of 16 tokens, llama-gqa on flex"), "{told}");
    for name in ["profile.json", "layers.csv", "interventions.csv", "report.html"] {
        assert!(told.contains(&format!("wrote {}", out.join(name).display())), "{name}: {told}");
        assert!(out.join(name).metadata().unwrap().len() > 0, "{name}");
    }
    let profile = json(&out.join("profile.json"));
    assert_eq!(profile["model"]["name"], "llama-gqa");
    assert_eq!(profile["corpus"]["name"], "sample.txt");
    assert_eq!(profile["command"][1], "study");
    let means = profile["curves"]["delete_kl"]["mean"].as_array().unwrap();
    assert_eq!(means.len() as u64, profile["model"]["n_layers"].as_u64().unwrap());
    let rows = fs::read_to_string(csv).unwrap();
    assert_eq!(rows.lines().filter(|row| row.starts_with("delete_kl,")).count(), means.len());
    assert!(rows.starts_with("name,row,column,mean,sem,unit\n"), "{rows}");
    fails(small_with(&["--out", path(&out)]), "is not empty");
}

#[test]
fn experiments_metrics_and_interventions_are_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let told = succeeds(small_with(&[
        "--experiments",
        "zero_heads,delete_from_1,attention,geometry",
        "--metrics",
        "kl,js",
        "--intervention",
        "first-only=0",
        "--skip-first",
        "1",
        "--out",
        path(&out),
    ]));
    assert!(told.contains("first-only: js ") && told.contains("zero_heads_kl, nats, the largest of"), "{told}");
    let profile = json(&out.join("profile.json"));
    let names: Vec<_> = profile["curves"].as_object().unwrap().keys().cloned().collect();
    for name in ["delete_after_first_kl", "delete_after_first_js", "resid_norm"] {
        assert!(names.iter().any(|own| own == name), "{name} in {names:?}");
    }
    assert!(!names.iter().any(|name| name == "delete_kl" || name.ends_with("_nll")), "{names:?}");
    let own = profile["interventions"].as_array().unwrap().iter().find(|run| run["name"] == "first-only").unwrap();
    assert_eq!(own["text"], "0");
    assert!(own["metrics"]["js"]["mean"].as_f64().unwrap() > 0.0);
}

#[test]
fn against_itself_a_model_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (out, model) = (dir.path().join("out"), fixture("llama-gqa"));
    succeeds(small_with(&["--experiments", "lens", "--against", path(&model), "--out", path(&out)]));
    let profile = json(&out.join("profile.json"));
    assert!(profile["values"]["clean_kl"]["mean"].as_f64().unwrap().abs() < 1e-6, "{}", profile["values"]);
    fails(small_with(&["--against", path(&fixture("absent"))]), "absent");
}

#[test]
fn words_are_measured_on_the_model_in_the_box() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("words.csv");
    let arguments =
        ["study", "--sequences", "2", "--seq-len", "16", "--experiments", "merging_heads,ensembles", "--csv"];
    let told = succeeds(arguments.into_iter().chain([path(&csv)]));
    assert!(told.contains("merging_heads, fraction, the largest of") && told.contains("ensemble_ing"), "{told}");
    assert!(fs::read_to_string(csv).unwrap().contains("merging_heads,0,0,"));
}

#[test]
fn a_closed_pipe_is_no_error_and_files_are_written_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut child = program()
        .args(small_with(&["--no-words", "--out", path(&out)]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take()); // nobody reads
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    assert!(out.join("profile.json").is_file() && out.join("report.html").is_file());
}

#[cfg(target_os = "linux")]
#[test]
fn paths_need_not_be_utf_8() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let odd = |name: &[u8]| dir.path().join(OsStr::from_bytes(name));
    let (model, words, out) = (odd(b"mod\xe8le"), odd(b"t\xeaxte.txt"), odd(b"r\xe9sultats"));
    std::os::unix::fs::symlink(fixture("llama-gqa"), &model).unwrap();
    fs::copy(common::repository().join("examples/data/sample.txt"), &words).unwrap();
    let arguments: [OsString; 12] = [
        "study".into(),
        "--model".into(),
        model.into(),
        "--text".into(),
        words.into(),
        "--sequences".into(),
        "2".into(),
        "--seq-len".into(),
        "16".into(),
        "--no-words".into(),
        "--out".into(),
        out.clone().into(),
    ];
    let output = run(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let profile = out.join("profile.json");
    assert_eq!(json(&profile)["model"]["name"], "mod\u{fffd}le");
    let page = odd(b"comparais\xf6n");
    let arguments: [OsString; 4] = ["compare".into(), profile.into(), "--out".into(), page.clone().into()];
    let output = run(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(page.join("compare.html").is_file());
}

#[test]
fn a_text_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let file = dir.path().join(name);
        fs::write(&file, content).unwrap();
        path(&file).to_owned()
    };
    fails(small_with(&["--text", path(&dir.path().join("absent.txt"))]), "cannot read");
    fails(small_with(&["--text", path(dir.path())]), "has no files to read");
    fails(small_with(&["--text", &file("empty.txt", b"")]), "empty.txt");
    fails(small_with(&["--text", &file("short.txt", b"a word")]), "short.txt");
    fails(small_with(&["--text", &file("latin-1.txt", b"caf\xe9 ol\xe9")]), "latin-1.txt is not UTF-8 at byte 3");
}

#[test]
fn what_is_wrong_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("a.csv");
    fs::write(&csv, "").unwrap();
    fails(small_with(&["--csv", path(&csv)]), "cannot write");
    fails(small_with(&["--skip-first", "16"]), "--skip-first leaves no position");
    fails(small_with(&["--metrics", "perplexity"]), "unknown metric `perplexity`; known: kl");
    fails(small_with(&["--experiments", "repeat_99"]), "repeat_99");
    fails(small_with(&["--intervention", "0-99"]), "99");
    fails(small_with(&["--wic", path(dir.path())]), "cannot measure wic: cannot read");
    fails(small_with(&["--memory", "1KB", "--no-words"]), "is too low");
    fails(small_with(&["--experiments", "delete", "--wic", path(dir.path())]), "--wic is for the experiment wic");
    let twice = ["--task-examples", "piqa=a", "--task-examples", "piqa=b", "--task-shots", "1"];
    let twice = [&["--experiments", "delete", "--task", "piqa=c"][..], &twice].concat();
    fails(small_with(&twice), "--task-examples piqa is given twice");
    fails(["study", "--model", path(dir.path())], "config.json");
    fails(["study", "--model", "no/such/model/anywhere"], "no/such/model/anywhere");
}

/// The fixture with so few positions that no sentence of Word-in-Context fits.
#[test]
fn sentences_that_are_too_long_are_left_out_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("short");
    fs::create_dir(&model).unwrap();
    for file in fs::read_dir(fixture("llama-gqa")).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), model.join(file.file_name())).unwrap();
    }
    let mut config = json(&model.join("config.json"));
    config["max_position_embeddings"] = 16.into();
    fs::write(model.join("config.json"), config.to_string()).unwrap();
    let arguments = ["study", "--model", path(&model), "--sequences", "2", "--seq-len", "16"];
    let output = run(arguments);
    let notes = text(&output.stderr);
    assert!(output.status.success(), "{notes}");
    assert!(
        notes.contains("pairs of train are left out: a sentence has more tokens than the model's 16 positions"),
        "{notes}"
    );
    assert!(text(&output.stdout).contains("2 windows of 16 tokens, short on flex"));
}

#[test]
fn profiles_are_compared_and_a_page_is_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let (one, page) = (dir.path().join("one"), dir.path().join("page"));
    succeeds(small_with(&["--no-words", "--out", path(&one)]));
    let profile = one.join("profile.json");
    let arguments = ["compare", path(&profile), path(&profile), "--out", path(&page)];
    assert!(succeeds(arguments).contains("wrote ") && page.join("compare.html").is_file());
    fails(arguments, "compare.html");
    fails(["compare", "absent.json", "--out", path(&page)], "absent.json");
    fails(["compare", "Cargo.toml", "--out", path(&page)], "Cargo.toml");
    let training = dir.path().join("training");
    let with = |option: &'static str, value: &'static str| {
        ["compare", path(&profile), path(&profile), "--out", path(&training), option, value].map(str::to_owned)
    };
    fails(with("--families", "llama,nobody"), "nobody");
    fails(with("--checkpoints", "0"), "1 label for 2 profiles");
    let text = succeeds(with("--checkpoints", "0 %,100 %"));
    assert!(
        text.contains("similarity  1.00 (p = ") && text.contains("that all models have, turned together"),
        "{text}"
    );
    let page = fs::read_to_string(training.join("compare.html")).unwrap();
    assert!(page.contains("When each signature appears in training") && page.contains("at 100 %"));
}

/// The table of layers has other metrics of these sweeps.
#[test]
fn every_curve_that_was_asked_for_is_printed() {
    for (experiment, metric) in [("delete", "accuracy"), ("swap", "entropy_bits"), ("lens", "accuracy")] {
        let told = succeeds(small_with(&["--experiments", experiment, "--metrics", metric]));
        assert!(told.contains(&format!("{experiment}_{metric}")), "{told}");
    }
    let told = succeeds(small_with(&["--experiments", "delete"]));
    assert!(told.contains("KL") && !told.contains("delete_accuracy"), "{told}");
}

/// Benchmarks are checked before the sweeps on the text, and what only long items have leaves the short ones as they are.
#[test]
fn positions_of_long_items_alone_change_long_items_alone() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("items.csv");
    let base = ["tasks", "--task", "lambada", "--limit", "4"];
    let with = |more: &[&str]| [&base[..], more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let late = "late=0..12 | blocks.3.hook_mlp_out pos=60.. zero";
    succeeds(with(&["--intervention", late, "--per-item", path(&csv)]));
    fails(with(&["--intervention", "0..12 | blocks.3.hook_mlp_out pos=9000.. zero"]), "none of its positions");
    fails(with(&["--intervention", "a=0..3-4..12", "--intervention", "a=0..4-5..12"]), "`a`");
    let task = ["--experiments", "delete,mean_mlp", "--task", "lambada=examples/data/tasks/lambada.jsonl"];
    fails(small_with(&task), "takes values from a corpus");
    fails(["tasks", "--task", "piqa"].map(str::to_owned), "no items of piqa");
}

#[test]
fn a_benchmark_is_scored_under_interventions() {
    let dir = tempfile::tempdir().unwrap();
    let (model, csv) = (fixture("llama-gqa"), dir.path().join("scores.csv"));
    let base = ["tasks", "--model", path(&model), "--limit", "4"];
    let with = |more: &[&str]| [&base[..], more].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let told = succeeds(with(&["--intervention", "no-1=0-2", "--csv", path(&csv)]));
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with("clean: ") && lines[0].contains("change +0.000"), "{told}");
    assert!(lines[1].starts_with("no-1: ") && lines[2].contains("guessing gives"), "{told}");
    let rows = fs::read_to_string(csv).unwrap();
    assert!(rows.starts_with("intervention,text,score,mean,sem\n") && rows.contains("\nno-1,0-2,acc,"), "{rows}");
    assert!(succeeds(with(&["--task", "lambada"])).contains("delete 0: "));
    fails(with(&["--items", "absent.jsonl"]), "absent.jsonl");
    fails(with(&["--intervention", "0 | blocks.0.hook_mlp_out mean"]), "mean");
}

#[test]
fn a_report_links_to_pages_of_windows() {
    let dir = tempfile::tempdir().unwrap();
    let study = |name: &str, more: &[&str]| {
        let out = dir.path().join(name);
        let study =
            ["study", "--model", "tests/fixtures/llama-gqa", "--sequences", "5", "--seq-len", "12", "--no-words"];
        let output = run([&study[..], more, &["--out", path(&out)]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let pages = fs::read_dir(out.join("prompts")).map_or(0, |files| files.count() / 2);
        (pages, fs::read_to_string(out.join("report.html")).unwrap(), text(&output.stderr))
    };
    let (n_pages, report, _) = study("usual", &["--experiments", "delete"]);
    assert_eq!((n_pages, report.matches("<a href=\"prompts/window-").count()), (2, 2));
    assert!(report.contains("deletion hurts most here") && report.contains("deletion hurts least here"));
    assert_eq!(study("four", &["--experiments", "delete_after_first", "--prompt-pages", "2"]).0, 4);
    assert_eq!(study("none", &["--experiments", "delete", "--prompt-pages", "0"]).0, 0);
    let (n_pages, report, said) = study("without", &["--experiments", "lens", "--prompt-pages", "1"]);
    assert!(
        n_pages == 0 && !report.contains("id=\"prompts\"") && said.contains("add delete to --experiments"),
        "{said}"
    );
}
