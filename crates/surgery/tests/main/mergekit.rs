//! Configurations of mergekit are read as plans or refused by name, and plans are written as such.

use stratigraph_surgery::{Intervention, LayerPlan, Mergekit};

/// A configuration with a method and these lines, indented as they are.
fn passthrough(lines: &str) -> String {
    format!("merge_method: passthrough\n{lines}")
}

const SLICES: &str = "slices:\n- sources:\n  - {model: org/a, layer_range: [0, 14]}\n- sources:\n  - model: org/a\n    layer_range:\n    - 12\n    - 16\n";

#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let message = Mergekit::parse(text).expect_err("this must be refused").to_string();
    for part in parts {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
    assert!(!message.contains('\n'), "one line: {message}");
}

#[test]
fn slices_become_a_plan() {
    let config = Mergekit::parse(&passthrough(SLICES)).unwrap();
    assert_eq!((config.model(), config.dtype()), ("org/a", None));
    assert_eq!(config.plan(16).unwrap().to_string(), "0..14-12..16");
    let message = config.plan(15).unwrap_err().to_string();
    assert!(message.contains("layer_range [12, 16] goes beyond the model's 15 layers"), "{message}");
}

#[test]
fn one_model_without_slices_is_all_of_it() {
    let config = Mergekit::parse(&passthrough("models:\n- model: org/a\ndtype: bfloat16\n")).unwrap();
    assert_eq!((config.plan(3).unwrap(), config.dtype()), (LayerPlan::full(3), Some("bfloat16")));
    assert_eq!(Mergekit::parse(&config.to_string()).unwrap(), config);
}

#[test]
fn what_changes_nothing_is_accepted() {
    let parameters =
        "parameters: {scale: 1}\nbase_model: org/a\ntokenizer_source: union\ndtype: float16\nout_dtype: float16\n";
    assert!(Mergekit::parse(&passthrough(&format!("{SLICES}{parameters}"))).is_ok());
    let filtered = "slices:\n- sources:\n  - model: a\n    layer_range: [0, 2]\n    parameters:\n      scale:\n      - filter: o_proj\n        value: 1.0\n      - value: 1.0\n";
    assert!(Mergekit::parse(&passthrough(filtered)).is_ok());
    assert!(Mergekit::parse(&passthrough(&format!("{SLICES}chat_template: ~\n"))).is_ok(), "null is nothing");
}

#[test]
fn what_changes_weights_or_takes_several_models_is_refused_by_name() {
    let with = |more: &str| passthrough(&format!("{SLICES}{more}"));
    refused(&format!("merge_method: slerp\n{SLICES}"), &["merge_method: slerp", "run mergekit"]);
    refused(SLICES, &["no merge_method"]);
    refused(&passthrough(""), &["neither slices nor models"]);
    refused(&passthrough("slices: []\n"), &["slices is not a list"]);
    refused(&with("models:\n- model: org/a\n"), &["slices and models"]);
    refused(&with("parameters:\n  scale: 0.5\n"), &["parameters.scale = 0.5", "remove it"]);
    refused(
        &with("parameters:\n  scale:\n  - filter: o_proj\n    value: 0.0\n  - value: 1\n"),
        &["parameters.scale = 0.0"],
    );
    refused(&with("parameters:\n  weight: 0.5\n"), &["`weight` of parameters"]);
    refused(&with("tokenizer_source: org/b\n"), &["tokenizer_source: org/b", "org/a"]);
    refused(&with("base_model: org/b\n"), &["base_model: org/b"]);
    refused(&with("base_model: \"a\\n\\e[31mb\"\n"), &["base_model: a\\n\\u{1b}[31mb is another model"]);
    refused(&with("dtype: float16\nout_dtype: bfloat16\n"), &["out_dtype: bfloat16"]);
    refused(&with("modules: {}\n"), &["`modules` of the configuration"]);
    let two = SLICES.replacen("org/a", "org/b", 1);
    refused(&passthrough(&two), &["2 models, org/b and org/a", "use mergekit"]);
    let two = "slices:\n- sources:\n  - {model: a, layer_range: [0, 1]}\n  - {model: a, layer_range: [1, 2]}\n";
    refused(&passthrough(two), &["slices[0] has 2 sources"]);
    refused(&passthrough(&SLICES.replacen("org/a", "org/a+org/lora", 1)), &["adapter org/lora", "merge"]);
    refused(&passthrough("models:\n- model: a\n- model: b\n"), &["models lists several"]);
}

#[test]
fn a_range_is_two_numbers_with_a_layer_between() {
    let range = |range: &str| passthrough(&format!("slices:\n- sources:\n  - {{model: a, layer_range: {range}}}\n"));
    for bad in ["[3, 3]", "[4, 2]"] {
        refused(&range(bad), &["slices[0].sources[0].layer_range", "half-open"]);
    }
    for bad in ["[1]", "[0, 1, 2]", "[0, x]", "[-1, 2]", "[0.5, 2]", "3", "[0, 1e9]"] {
        refused(&range(bad), &["layer_range is not two numbers, such as [0, 12]"]);
    }
    refused(&range("[0, 100000000]"), &["layer_range [0, 100000000] goes beyond 65536 layers"]);
    refused("a: [", &["not YAML"]);
    refused("- a", &["not a mapping"]);
}

#[test]
fn every_plan_of_whole_layers_survives_a_round() {
    for text in ["0..14-12..30", "3", "2-2-2", "5-4-3-2-1-0", "0..3-2..5-0"] {
        let plan: LayerPlan = text.parse().unwrap();
        let yaml = Mergekit::new("a: name, 'quoted' # and all", &plan).unwrap().to_string();
        let read = Mergekit::parse(&yaml).unwrap();
        assert_eq!((read.plan(30).unwrap(), read.model()), (plan, "a: name, 'quoted' # and all"), "{yaml}");
    }
    assert!(Mergekit::new("a", &"none".parse().unwrap()).is_err());
}

#[test]
fn what_is_no_list_of_layers_is_named() {
    let layers = |text: &str| text.parse::<Intervention>().unwrap().layers();
    assert_eq!(layers("0..3-1").unwrap(), [0, 1, 2, 1]);
    let said = |text: &str| layers(text).unwrap_err().to_string();
    assert!(said("0-(1+2)-3").contains("slot 1 holds `(1+2)`"), "{}", said("0-(1+2)-3"));
    assert!(said("0..4 | blocks.3.attn.hook_z heads=1 zero").contains("`blocks.3.attn.hook_z heads=1 zero`"));
    // Older texts ran one sublayer of a layer, which is an edit of the other.
    assert!(said("0-1a-2").contains("hook_mlp_out"), "{}", said("0-1a-2"));
    assert!(Mergekit::new("a", &"0-(1+2)".parse().unwrap()).is_err());
}
