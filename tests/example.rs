//! The main example as a user runs it: its files, its exit code, and one clear line where something is wrong.

mod common;

use std::path::Path;
use std::process::Output;

use common::{example, fixture, path};

/// Runs the example that was built along with the tests, with a hub's cache that lies in the fixtures and no network.
fn run(arguments: &[&str]) -> Output {
    run_with_cache(arguments, &fixture("."))
}

fn run_with_cache(arguments: &[&str], cache: &Path) -> Output {
    let mut command = example("stages_of_inference");
    command.env("HF_HUB_CACHE", cache).args(arguments).output().expect("examples are built along with tests")
}

#[test]
fn it_writes_its_files_and_never_over_others() {
    let dir = tempfile::tempdir().unwrap();
    let (model, out) = (fixture("llama-gqa"), dir.path().join("out"));
    let arguments =
        ["--model", path(&model), "--sequences", "2", "--seq-len", "16", "--device", "ndarray", "--out", path(&out)];
    let first = run(&arguments);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert!(String::from_utf8_lossy(&first.stdout).contains("2 windows of 16 tokens, llama-gqa on ndarray"));
    let json = std::fs::read(out.join("profile.json")).unwrap();
    let profile: stratigraph::stages::Profile = serde_json::from_slice(&json).unwrap();
    assert_eq!(profile.curves["delete_kl"].len(), 3);
    let lines = |file: &str| std::fs::read_to_string(out.join(file)).unwrap().lines().count();
    assert_eq!(lines("layers.csv"), 1 + 3 + 1); // a heading, the layers, the end
    assert_eq!(lines("interventions.csv"), 1 + 1 + 3 + 2 + 1); // a heading, none, delete, swap, repeat_3
    let again = run(&arguments);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not empty"));
    assert_eq!(std::fs::read(out.join("profile.json")).unwrap(), json);
}

#[test]
fn without_arguments_it_tells_of_the_model_in_the_box() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["--sequences", "4", "--out", path(dir.path())]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("4 windows of 128 tokens, tiny on flex"));
    let damage = std::fs::read_to_string(dir.path().join("figures/damage.svg")).unwrap();
    assert!(damage.contains("layer 11, delete: "), "{damage}");
    assert!(dir.path().join("figures/lens.svg").is_file());
}

#[test]
fn a_model_of_the_hub_is_found_in_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let model = cache.path().join("models--org--tiny");
    let snapshot = model.join("snapshots/0123abcd");
    std::fs::create_dir_all(model.join("refs")).unwrap();
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::write(model.join("refs/main"), "0123abcd").unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(fixture("llama-gqa").join(file), snapshot.join(file)).unwrap();
    }
    let arguments = ["--model", "org/tiny", "--sequences", "1", "--seq-len", "8"];
    let output = run_with_cache(&arguments, cache.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 windows of 8 tokens, org/tiny on flex"));
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let (model, empty, bytes) = (fixture("llama-gqa"), dir.path().join("empty.txt"), dir.path().join("bytes.txt"));
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&bytes, [0xff, 0xfe]).unwrap();
    let wgpu = if cfg!(feature = "wgpu-unfused") { None } else { Some((["--device", "wgpu"], "--features wgpu")) };
    let cases = [
        (["--text", path(&empty)], "0 tokens, which is shorter than one window of 128"),
        (["--text", path(&bytes)], "bytes.txt"),
        (["--text", path(dir.path())], "cannot read"),
        (["--wic", path(dir.path())], "train.data.txt"),
        (["--seq-len", "1"], "at least 2"),
        (["--seq-len", "500"], "longer than the model's context of 128"),
        (["--seq-len", "1000000000"], "shorter than one window"),
        (["--out", path(&empty)], "cannot write"),
        (["--model", path(dir.path())], "no config.json"),
        (["--model", path(&bytes)], "does not begin with GGUF"),
        (["--model", "org/name"], "org/name is not in the cache"),
        (["--model", "absent.gguf"], "there is no file or directory `absent.gguf`"),
    ];
    for (arguments, part) in cases.into_iter().chain(wgpu) {
        // What comes last counts, so the case may name another model.
        let all = [&["--model", path(&model)][..], &arguments[..]].concat();
        let all = if arguments[0] == "--model" { &arguments[..] } else { &all[..] };
        let output = run(all);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        assert!(message.starts_with("error: ") && message.contains(part), "{arguments:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{arguments:?}: {message}");
    }
}
