//! Lenses: fitted and written, read by studies, refused where they are of another model.

use std::fs;

use serde_json::Value;

use crate::common::{fails, fixture, is_misused, path, program, succeeds, text};

/// Fits a lens to the small model in the box.
fn fit<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fit = ["lens", "fit", "--sequences", "40", "--seq-len", "32", "--skip-sequences", "4", "--out", out];
    [&fit[..], more].concat()
}

#[test]
fn a_lens_is_fitted_and_a_study_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let [file, out] = ["lens.safetensors", "out"].map(|name| dir.path().join(name));
    let told = succeeds(fit(path(&file), &[]));
    assert!(told.contains("affine lens of tiny, fitted on 40 windows of 32 tokens"), "{told}");
    assert!(told.contains("held_out_error") && told.lines().count() == 15, "{told}");
    let study =
        ["study", "--sequences", "4", "--seq-len", "32", "--experiments", "lens,fixed_scale_lens,early_guesses"];
    let more = ["--lens", path(&file), "--out", path(&out)];
    succeeds([&study[..], &more].concat());
    let profile: Value = serde_json::from_slice(&fs::read(out.join("profile.json")).unwrap()).unwrap();
    let mean = |curve: &str| -> Vec<f64> {
        let curve = profile["curves"][curve]["mean"].as_array().unwrap_or_else(|| panic!("no {curve}"));
        curve.iter().map(|x| x.as_f64().unwrap()).collect()
    };
    let (logit, affine) = (mean("lens_kl"), mean("affine_lens_kl"));
    assert!(logit[..12].iter().zip(&affine).all(|(logit, affine)| affine < logit), "{logit:?} and {affine:?}");
    assert_eq!((affine[12], mean("fixed_scale_lens_kl")[12]), (0.0, 0.0));
    assert_eq!(mean("affine_lens_first_agreement")[12], 1.0);
    let definition = profile["curves"]["affine_lens_kl"]["definition"].as_str().unwrap();
    assert!(definition.contains("on 40 windows of 32 tokens of sample.txt (SHA-256"), "{definition}");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("affine lens") && page.contains("one norm scale"), "all lenses are on one axis");
}

#[test]
fn lenses_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lens.safetensors");
    succeeds(fit(path(&file), &["--model", "tests/fixtures/llama-gqa"]));
    let study = |more: &[&'static str]| {
        let study = ["study", "--sequences", "2", "--seq-len", "16", "--experiments"];
        [&study[..], more].concat()
    };
    let of_other = [&study(&["lens", "--lens"])[..], &[path(&file)]].concat();
    fails(of_other, "the affine lens is for a model of 3 layers and d_model 24");
    fails(study(&["affine_lens"]), "affine_lens needs a lens: give --lens FILE");
    fails(study(&["tuned_lens"]), "`stratigraph lens fit --kind tuned` makes one");
    fails(study(&["lens", "--lens-text", "examples/data/sample.txt"]), "--lens-text is for the experiment affine_lens");
    let jacobian = fixture("lenses/jacobian.pt");
    let two = ["study", "--model", "tests/fixtures/llama-gqa", "--sequences", "2", "--seq-len", "8", "--no-words"];
    let two = [&two[..], &["--experiments", "lens", "--lens", path(&jacobian), "--lens", path(&jacobian)]].concat();
    fails(two, "is another jacobian lens; give one of each kind");
    fails(fit(path(&file), &[]), "exists already");
    fails(fit("lens.txt", &[]), "does not end with .safetensors");
    fails(fit("new.safetensors", &["--probes", "3"]), "--probes is for --kind jacobian");
    // Before anything is read.
    let plan = |more: &[&'static str]| [&["sweep", "plan", "job", "--model", "absent", "--experiments"], more].concat();
    fails(plan(&["affine_lens"]), "affine_lens needs a lens: give --lens FILE");
    let both = ["affine_lens,tuned_lens", "--lens-text", "examples/data/sample.txt"];
    fails(plan(&both), "`stratigraph lens fit --kind tuned` makes one");
    fails(plan(&["delete,early_guesses"]), "cannot shard early_guesses: it needs the whole corpus in one process");
}

#[test]
fn a_lens_in_a_job_reads_what_it_reads_in_a_study() {
    let dir = tempfile::tempdir().unwrap();
    let [lens, job, study, merged] = ["lens.safetensors", "job", "study", "merged"].map(|name| dir.path().join(name));
    succeeds(fit(path(&lens), &[]));
    let measured = ["--sequences", "5", "--seq-len", "32", "--experiments", "lens,affine_lens", "--lens", path(&lens)];
    let steps = ["--windows-per-step", "2", "--interventions-per-step", "9"];
    succeeds([&["sweep", "plan", path(&job)], &measured[..], &steps].concat());
    fs::remove_file(&lens).unwrap(); // the job has it
    for shard in ["1/2", "0/2"] {
        succeeds(["sweep", "run", path(&job), "--shard", shard]);
    }
    succeeds(["sweep", "merge", path(&job), "--out", path(&merged)]);
    let kept = job.join("lenses/affine_lens.safetensors");
    let text = ["--lens", path(&kept), "--out", path(&study)];
    succeeds([&["study"], &measured[..6], &text].concat());
    let curve = |out: &std::path::Path| -> Value {
        let profile: Value = serde_json::from_slice(&fs::read(out.join("profile.json")).unwrap()).unwrap();
        profile["curves"]["affine_lens_kl"].clone()
    };
    let (found, expected) = (curve(&merged), curve(&study));
    assert_eq!(found["definition"], expected["definition"]);
    for (a, b) in found["mean"].as_array().unwrap().iter().zip(expected["mean"].as_array().unwrap()) {
        let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
        assert!((a - b).abs() < 1e-5 * b.max(1.0), "{a} and {b}");
    }
    let mut bytes = fs::read(&kept).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&kept, bytes).unwrap();
    fs::remove_file(job.join("steps/000000.json")).unwrap();
    fails(["sweep", "run", path(&job)], "affine_lens.safetensors is damaged: it is not the lens of the plan");
}

#[test]
fn a_fit_on_the_way_and_published_lenses() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("lens.csv");
    let study = ["study", "--sequences", "3", "--seq-len", "16", "--experiments", "affine_lens"];
    let text = ["--lens-text", "examples/data/sample.txt", "--csv", path(&csv)];
    succeeds([&study[..], &text].concat());
    assert!(fs::read_to_string(&csv).unwrap().contains("affine_lens_kl,12,,0,"), "at the end it is the model");
    let [jacobian, csv] = [fixture("lenses/jacobian.pt"), dir.path().join("jacobian.csv")];
    let study = ["study", "--model", "tests/fixtures/llama-gqa", "--sequences", "3", "--seq-len", "8", "--experiments"];
    succeeds([&study[..], &["jacobian_lens", "--lens", path(&jacobian), "--csv", path(&csv)]].concat());
    let rows = fs::read_to_string(&csv).unwrap();
    assert!(rows.contains("jacobian_lens_kl,0,,,,") && rows.contains("jacobian_lens_kl,3,,0,"), "{rows}");
}

#[test]
fn a_prompt_is_shown_by_every_lens_on_a_screen_of_any_width() {
    let dir = tempfile::tempdir().unwrap();
    let [jacobian, csv, json] = [fixture("lenses/jacobian.pt"), dir.path().join("a.csv"), dir.path().join("a.json")];
    let show = ["--model", "tests/fixtures/llama-gqa", "--prompt", "one two three four", "--lens", path(&jacobian)];
    let shown = |columns: &str, more: &[&str]| {
        let output = program().env("COLUMNS", columns).args([&["lens"][..], &show, more].concat()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let wide = shown("400", &["--csv", path(&csv), "--json", path(&json)]);
    assert!(wide.contains("logit lens") && wide.contains("jacobian lens") && wide.contains("probability of"), "{wide}");
    assert!(!wide.contains('\u{1b}'), "no colour where it is not a terminal");
    let narrow = shown("40", &["--show", "output_rank", "--color", "always"]);
    assert!(narrow.contains("\u{1b}[38;5;") && narrow.matches("out").count() > wide.matches("out").count(), "{narrow}");
    let rows = fs::read_to_string(&csv).unwrap();
    // Residual positions 0 to 3 of the logit lens, 1 to 3 of a Jacobian lens, which has no map before the first layer.
    let n_tokens = rows.lines().filter(|row| row.starts_with("lens,0,")).count();
    let is_cell =
        |row: &&str| row.starts_with("lens,") && !row.starts_with("lens,res") || row.starts_with("jacobian_lens,");
    assert_eq!(rows.lines().filter(is_cell).count(), 7 * n_tokens, "{rows}");
    let reading: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(reading["lenses"][1]["rows"][0].as_array().unwrap().len(), 0);
    assert_eq!(reading["lenses"][0]["rows"][3][0]["kl"], 0.0);
    assert_eq!(reading["lenses"][0]["rows"][3][0]["top"].as_array().unwrap().len(), 5);
    // The two spellings are one.
    assert_eq!(wide.lines().next(), succeeds([&["lens", "show"][..], &show].concat()).lines().next());
    fails([&["lens"][..], &show, &["--json", path(&json)]].concat(), "File exists");
    fails(["lens", "--prompt", ""], "the prompt \"\" has 0 tokens");
    is_misused(["lens", "--show", "kl"], "--prompt");
    is_misused(["lens", "show"], "--prompt");
}

#[test]
fn a_prompt_has_a_page_with_everything() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let prompt = ["lens", "--prompt", "The people of the United States of"];
    let pair = ["--corrupted", "The people of the great whale of", "--token", " America", "--against", " the"];
    let told = succeeds([&prompt[..], &pair, &["--out", path(&out)]].concat());
    assert!(told.contains("logit lens") && told.contains("prompt.html") && told.contains("prompt.json"), "{told}");
    let page = fs::read_to_string(out.join("prompt.html")).unwrap();
    for part in ["lenses", "deletion", "attention", "attribution", "patching"] {
        assert!(page.contains(&format!("<section id=\"{part}\">")), "{part}");
    }
    assert!(page.contains("of ‘␣America’ minus that of ‘␣the’"), "the tokens that were chosen");
    let reading: Value = serde_json::from_slice(&fs::read(out.join("prompt.json")).unwrap()).unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    let parts = &reading["attribution"];
    let of_layers = parts["layers"].as_array().unwrap().iter().map(|it| number(&it["attention"]) + number(&it["mlp"]));
    let sum = number(&parts["embedding"]) + number(&parts["bias"]) + of_layers.sum::<f64>();
    assert!((sum - number(&parts["difference"])).abs() < 1e-4, "{sum}");
    let new = dir.path().join("new");
    let page_of = |more: &[&'static str]| [&prompt[..], more, &["--out", path(&new)]].concat();
    fails(page_of(&["--corrupted", "Too short"]), "both need the same number");
    fs::remove_dir(&new).unwrap();
    fails(page_of(&["--token", " of the"]), "cannot use --token");
    is_misused(["lens", "--prompt", "a b c", "--token", " the"], "--out");
}

#[cfg(feature = "fit")]
#[test]
fn lenses_are_fitted_by_gradients() {
    let dir = tempfile::tempdir().unwrap();
    let [jacobian, tuned] = ["jacobian.safetensors", "tuned"].map(|name| dir.path().join(name));
    let fit = |kind: &'static str, more: &[&str], out: &str| {
        let fit = [
            "lens",
            "fit",
            "--model",
            "tests/fixtures/llama-gqa",
            "--sequences",
            "16",
            "--seq-len",
            "8",
            "--kind",
            kind,
        ];
        succeeds([&fit[..], more, &["--out", out]].concat())
    };
    let told = fit("jacobian", &["--skip-first", "1", "--probes", "6"], path(&jacobian));
    assert!(told.contains("jacobian lens of llama-gqa, fitted on 16 windows"), "{told}");
    let told = fit("tuned", &["--steps", "2", "--form", "tuned-lens"], path(&tuned));
    assert!(told.contains("tuned lens of llama-gqa") && tuned.join("params.pt").is_file(), "{told}");
    let few = ["lens", "fit", "--kind", "tuned", "--sequences", "8", "--seq-len", "8", "--out", "few.safetensors"];
    fails(few, "give at least 9 windows, or a lens with --start");
    let study =
        ["study", "--model", "tests/fixtures/llama-gqa", "--sequences", "2", "--seq-len", "8", "--experiments", "lens"];
    let lenses = ["--lens", path(&jacobian), "--lens", path(&tuned), "--csv", path(&dir.path().join("all.csv"))]
        .map(str::to_owned);
    let study: Vec<String> = study.into_iter().map(str::to_owned).chain(lenses).collect();
    succeeds(study);
    let rows = fs::read_to_string(dir.path().join("all.csv")).unwrap();
    assert!(rows.contains("jacobian_lens_kl,0,") && rows.contains("tuned_lens_kl,2,"), "{rows}");
}
