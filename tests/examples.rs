//! Every example runs on the model in the box and answers its question.

use std::path::Path;
use std::process::Command;

use stratigraph::prelude::*;

/// What an example prints; it was built along with the tests and runs in the repository, without a network.
fn output(name: &str, arguments: &[&Path]) -> String {
    let deps = std::env::current_exe().unwrap();
    let mut command = Command::new(deps.parent().unwrap().parent().unwrap().join("examples").join(name));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("HF_HUB_OFFLINE", "1").args(arguments);
    let output = command.output().expect("examples are built along with tests");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How many lines of a text contain a part.
fn count(text: &str, part: &str) -> usize {
    text.lines().filter(|line| line.contains(part)).count()
}

#[test]
fn stages_of_inference_writes_a_report() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let text = output("stages_of_inference", &[&out]);
    assert!(text.contains("KL"), "{text}");
    let profile = Profile::read(out.join("profile.json")).unwrap();
    assert_eq!(profile.curve("delete_kl").unwrap().axis, Axis::layers(12));
    assert_eq!(profile.curve("wic_accuracy").unwrap().axis, Axis::residual_positions(12));
    assert!(profile.stages.is_some());
    assert_same_numbers(&profile, &Profile::read("tests/fixtures/tiny-profile.json").unwrap());
    assert!(out.join("report.html").is_file() && out.join("figures/damage.svg").is_file());
}

/// Whether a curve or matrix is of another sample than it was, and has other numbers: Word-in-Context is cross-validated by word,
/// and was by pair; CKA is of 1,024 positions drawn at random, and was of every fourth; ensembles are of neurons that promote or
/// suppress the suffix, and were of those that promote it.
fn is_of_another_sample(name: &str) -> bool {
    name == "wic_accuracy" || name.starts_with("cka") || name.starts_with("ensemble_")
}

/// Compares every number with those of a committed profile, in the form of the first version, which that version computed.
/// Processors round differently, which can change a top-1 token or a neuron at the limit of its class.
fn assert_same_numbers(found: &Profile, expected: &Profile) {
    let tolerance = |curve: &Curve, value: f64| match &curve.unit {
        Unit::Count => 1.0,
        Unit::Fraction => 1e-3,
        _ => 1e-4 * value.abs().max(1.0),
    };
    // The first version did not measure these.
    let later = [
        "delete_after_first_",
        "delete_less_",
        "cka_adjacent_after_first",
        "cka_adjacent_by_window",
        "centred_",
        "attn_write_cosine",
        "mlp_write_cosine",
        "first_position_norm",
        "matrix_entropy",
        "prediction_neuron_share",
        "suppression_neuron_share",
        "ensemble_ing_neurons",
        "prev5_attention_mass_after_first",
    ];
    let is_later = |name: &str| later.iter().any(|start| name.starts_with(start));
    let names: Vec<_> = found.curves.keys().filter(|name| !is_later(name)).collect();
    assert_eq!(names, expected.curves.keys().collect::<Vec<_>>());
    for (name, expected) in expected.curves.iter().filter(|(name, _)| !is_of_another_sample(name)) {
        let found = &found.curves[name];
        assert_eq!((&found.axis, &found.unit), (&expected.axis, &expected.unit), "{name}");
        for (index, (found, value)) in found.mean.iter().zip(&expected.mean).enumerate() {
            let epsilon = tolerance(expected, *value);
            assert!(approx::abs_diff_eq!(found, value, epsilon = epsilon), "{name} {index}: {found}, not {value}");
        }
    }
    for (name, matrix) in expected.matrices.iter().filter(|(name, _)| !is_of_another_sample(name)) {
        let pairs = found.matrices[name].values.iter().flatten().zip(matrix.values.iter().flatten());
        pairs.for_each(|(found, value)| assert!(approx::abs_diff_eq!(found, value, epsilon = 1e-4), "{name}: {found}"));
    }
}

#[test]
fn interventions_print_a_line_for_each_layer() {
    for (name, part) in
        [("head_ablation", "("), ("attention_knockout", "+-"), ("activation_patching", "."), ("own_metric", "bits")]
    {
        let text = output(name, &[]);
        assert!(count(&text, part) >= 12, "{name}: {text}");
        assert!(!text.contains("NaN"), "{name}: {text}");
    }
    let text = output("own_sweep", &[]);
    assert_eq!((count(&text, "length 4"), count(&text, "by_hand ")), (12, 3), "{text}");
}

#[test]
fn readings_of_the_residual_stream_have_a_line_for_each_depth() {
    assert_eq!(count(&output("logit_lens", &[]), "%"), 13);
    assert_eq!(count(&output("probe", &[]), "accuracy"), 12);
    assert_eq!(count(&output("collect_activations", &[]), "hook_mlp_out"), 12);
    assert_eq!(count(&output("steering", &[]), "x direction"), 4);
}

#[test]
fn a_prompt_has_a_chart_parts_and_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let text = output("prompt_page", &[&dir.path().join("out")]);
    assert!(count(&text, "attention ") == 12 && text.contains("␣America"), "{text}");
    let json = std::fs::read_to_string(dir.path().join("out/prompt.json")).unwrap();
    let reading = PromptReading::from_json(&json).unwrap();
    assert_eq!((reading.tokens.len(), reading.patching.unwrap().maps.len()), (7, 4));
    assert!(dir.path().join("out/prompt.html").is_file());
}

#[test]
fn pruning_goes_from_twelve_layers_to_nine() {
    let text = output("compare_models", &[]);
    assert_eq!(text.lines().count(), 1 + 4, "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with("0..12 "), "{text}");
}

#[test]
fn a_search_says_what_its_plan_costs() {
    let text = output("search", &[]);
    assert!(text.starts_with("best plan: ") && count(&text, "against ") == 2, "{text}");
}

#[test]
fn a_model_and_a_measurement_of_one_s_own_give_curves() {
    let model = output("own_model", &[]);
    assert!(model.contains("delete_kl: [") && model.contains("lens_kl: ["), "{model}");
    assert!(output("own_measurement", &[]).contains("dead neurons by layer: ["));
}

#[test]
fn generation_compares_texts() {
    let text = output("generation", &[]);
    assert_eq!((count(&text, "without layer"), count(&text, "  clean:")), (3, 3), "{text}");
    assert!(count(&text, "mean KL") == 3 && text.contains("three layers skipped, drawn:"), "{text}");
}
