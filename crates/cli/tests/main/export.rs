//! `export` as its users run it: models that are opened again, mergekit's configurations, and what is refused before any work.

use std::fs;
use std::path::Path;

use crate::common::{fails, fixture, is_misused, path, succeeds};

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

/// Exports llama-gqa, of three layers, to a new directory.
fn export<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["export"], more].concat()
}

#[test]
fn a_directory_is_exported_with_a_card_and_a_configuration_of_mergekit() {
    let dir = tempfile::tempdir().unwrap();
    let (model, out) = (fixture("llama-gqa"), dir.path().join("twice"));
    let said = succeeds(export(&["--model", path(&model), "--plan", "0..2-1..3", "--out", path(&out)]));
    assert!(said.contains("4 layers from the 3 of llama-gqa, as 0-1-1-2"), "{said}");
    assert!(said.contains("repeated layers: safetensors cannot share a tensor between layers"), "{said}");
    let expected = [
        "README.md",
        "config.json",
        "generation_config.json",
        "mergekit_config.yml",
        "model.safetensors",
        "tokenizer.json",
    ];
    assert_eq!(names(&out), expected);
    assert_eq!(names(dir.path()), ["twice"]);
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    for part in
        ["library_name: transformers", "# twice", "layer 1 more than once", "`0-1-1-2`", "SHA-256", "--plan 0..2-1..3"]
    {
        assert!(card.contains(part), "`{part}` is not in: {card}");
    }
    assert!(card.contains("Nothing was measured."), "{card}");
    // The configuration makes the same model.
    let (config, again) = (out.join("mergekit_config.yml"), dir.path().join("again"));
    succeeds(export(&["--mergekit", path(&config), "--out", path(&again)]));
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        assert!(fs::read(again.join(name)).unwrap() == fs::read(out.join(name)).unwrap(), "{name}");
    }
    // And what was written is a model like any other.
    let said = succeeds(["tasks", "--model", path(&out), "--limit", "2", "--intervention", "0..4"]);
    assert!(said.contains("clean: arc_easy (2 items)"), "{said}");
}

#[test]
fn a_gguf_is_exported_as_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let (model, out) = (fixture("llama-gqa/model.gguf"), dir.path().join("pruned"));
    let said = succeeds(export(&["--model", path(&model), "--plan", "0-2", "--out", path(&out)]));
    assert!(said.contains("2 layers from the 3 of model.gguf, as 0-2") && !said.contains("share"), "{said}");
    assert_eq!(names(&out), ["README.md", "model.gguf"]);
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("library_name: gguf") && card.contains("without layer 1"), "{card}");
    let file = out.join("model.gguf");
    succeeds(["tasks", "--model", path(&file), "--limit", "2", "--intervention", "0..2"]);
}

#[test]
fn a_card_has_the_numbers_of_a_study() {
    let dir = tempfile::tempdir().unwrap();
    let (results, out) = (dir.path().join("results"), dir.path().join("pruned"));
    let study = ["study", "--experiments", "delete", "--sequences", "2", "--seq-len", "16", "--out", path(&results)];
    succeeds(study);
    let profile = results.join("profile.json");
    let plan = |plan: &str| {
        let arguments = ["--model", "models/tiny", "--plan", plan, "--out", path(&out), "--profile", path(&profile)];
        export(&arguments).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    fails(plan("0-1"), "does not have the plan 0-1: measure it with `stratigraph study --intervention 0-1`");
    assert!(!out.exists());
    succeeds(plan("0..2-3..12"));
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(
        card.contains("## Measured before the export") && card.contains("| KL divergence from the unchanged model"),
        "{card}"
    );
    let other = fixture("llama-gqa");
    let arguments = ["--model", path(&other), "--plan", "0-2", "--out", "x", "--profile", path(&profile)];
    fails(export(&arguments), "is of another model, tiny");
}

#[test]
fn a_card_has_the_search_that_found_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let (search, out) = (dir.path().join("search"), dir.path().join("pruned"));
    succeeds(["search", "--remove", "1", "--sequences", "8", "--seq-len", "16", "--out", path(&search)]);
    let plan = fs::read_to_string(search.join("plan.txt")).unwrap();
    let record = search.join("search.json");
    let arguments = |model: &'static str, plan: &str| {
        let all = ["--model", model, "--plan", plan.trim(), "--numbers", path(&record), "--out", path(&out)];
        export(&all).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    fails(arguments("models/tiny", "0..2"), "is of a search whose best plan is");
    fails(arguments("tests/fixtures/gpt2", "0"), "is of another model, tiny with the SHA-256");
    succeeds(arguments("models/tiny", &plan));
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("\n## ") && card.contains("windows evaluated") && !card.contains("Nothing was"), "{card}");
}

#[test]
fn what_a_checkpoint_cannot_say_is_refused_by_name_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (model, out) = (fixture("llama-gqa"), dir.path().join("out"));
    let refused = |plan: &str, part: &str| {
        fails(export(&["--model", path(&model), "--plan", plan, "--out", path(&out)]), part);
        assert!(names(dir.path()).is_empty());
    };
    refused("0-(1+2)", "slot 1 holds `(1+2)`");
    refused("0..3 | blocks.1.hook_mlp_out zero", "the edit `blocks.1.hook_mlp_out zero` changes what a layer computes");
    refused("0-1m-2", "the edit `blocks.1.hook_attn_out zero`");
    refused("0..4", "layer 3 does not exist; there are 3");
    refused("none", "no layers");
    let gguf = out.with_extension("gguf");
    fails(export(&["--model", path(&model), "--plan", "0-2", "--out", path(&gguf)]), "name it without .gguf");
    fails(export(&["--model", path(&model), "--plan", "0-2", "--out", path(&model)]), "not empty; name a new one");
    is_misused(export(&["--out", "x"]), "--plan");
    is_misused(export(&["--plan", "0", "--mergekit", "c.yml", "--out", "x"]), "cannot be used with");
    is_misused(export(&["--plan", "0..x", "--out", "x"]), "0..x");
}

#[test]
fn a_configuration_of_mergekit_is_applied_or_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (model, config, out) = (fixture("llama-gqa"), dir.path().join("c.yml"), dir.path().join("out"));
    let write = |more: &str| {
        let text = format!(
            "merge_method: passthrough\nslices:\n- sources:\n  - model: {}\n    layer_range: [0, 2]\n{more}",
            model.display()
        );
        fs::write(&config, text).unwrap();
    };
    let arguments = export(&["--mergekit", path(&config), "--out", path(&out)]);
    write("parameters: {scale: 0.5}\n");
    fails(&arguments, "parameters.scale = 0.5");
    write("dtype: bfloat16\n");
    fails(&arguments, "dtype: bfloat16: weights are copied as they are stored, which is float32");
    write("- sources:\n  - model: org/other\n    layer_range: [0, 2]\n");
    fails(&arguments, "2 models");
    write("- sources:\n  - {model: MODEL, layer_range: [1, 4]}\n".replace("MODEL", path(&model)).as_str());
    fails(&arguments, "layer_range [1, 4] goes beyond the model's 3 layers");
    fails(export(&["--mergekit", "no/such.yml", "--out", path(&out)]), "cannot read no/such.yml");
    assert_eq!(names(dir.path()), ["c.yml"]);
    write("dtype: float32\n");
    succeeds(&arguments);
    fails(&arguments, "not empty");
}

/// A full disk: nothing is left under the name or beside it.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_nothing() {
    use std::process::Command;
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().join("small");
    fs::create_dir(&mount).unwrap();
    let tool = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    if !tool("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs", path(&mount)]) {
        return crate::common::skipped("a file system cannot be mounted here");
    }
    let out = mount.join("out");
    let result = std::panic::catch_unwind(|| {
        let arguments = export(&["--model", "models/tiny", "--plan", "0..3", "--out", path(&out)]);
        fails(arguments, "No space left on device");
        assert!(names(&mount).is_empty(), "{:?}", names(&mount));
        let arguments = export(&["--model", "models/tiny", "--plan", "0..3", "--out", path(&mount)]);
        fails(arguments, "a file system is mounted there; name a directory inside of it");
    });
    assert!(tool("umount", &[path(&mount)]));
    result.unwrap();
}
