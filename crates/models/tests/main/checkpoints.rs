//! Checkpoints that are whole, and all the ways in which they are not: each gives one error that names the thing.

use std::fs;

use serde_json::{Value, json};
use stratigraph_models::{Checkpoint, ModelError, Tokenizer};
use stratigraph_testing::{FAMILIES, GGUFS, fixture};

use crate::support::{assert_says, configure, copy, load, position, rewrite_header};

#[test]
fn both_tokenizers_give_the_ids_of_the_tokenizers_library() {
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(fixture("llama-gqa/tokens.json")).unwrap()).unwrap();
    assert!(cases.len() > 10);
    for path in ["llama-gqa", "llama-gqa/model.gguf"] {
        let tokenizer = Checkpoint::open(fixture(path)).unwrap().tokenizer().unwrap();
        assert_eq!(tokenizer.n_tokens(), 300);
        for case in &cases {
            let text = case["text"].as_str().unwrap();
            let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
            assert_eq!(tokenizer.encode(text).unwrap(), ids, "{path}: {text:?}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), text, "{path}");
        }
    }
}

#[test]
fn paths_that_hold_no_model() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert_says(load(&at("absent")), &["there is no file or directory", "absent"]);
    assert_says(load(dir.path()), &["has no config.json"]);
    fs::write(at("empty.gguf"), []).unwrap();
    assert_says(load(&at("empty.gguf")), &["empty.gguf", "is empty"]);
    fs::write(at("text.gguf"), "once upon a time").unwrap();
    assert_says(load(&at("text.gguf")), &["text.gguf", "does not begin with GGUF"]);
    let (_keep, path) = copy("llama-gqa");
    assert_says(load(&path.join("model.safetensors")), &["opened by its directory"]);
    fs::remove_file(path.join("model.safetensors")).unwrap();
    assert_says(load(&path), &["neither model.safetensors nor"]);
    fs::create_dir(path.join("model.safetensors")).unwrap();
    assert_says(load(&path), &["neither model.safetensors nor"]);
}

#[test]
fn configurations_that_cannot_be_honoured() {
    let cases = [
        (json!({"model_type": "t5"}), vec!["t5", "llama"]),
        (json!({"model_type": null}), vec!["lacks `model_type`"]),
        (json!({"hidden_size": null}), vec!["lacks `hidden_size`"]),
        (json!({"hidden_size": "24"}), vec!["hidden_size", "whole number"]),
        (json!({"hidden_size": 0}), vec!["d_model", "positive"]),
        (json!({"num_hidden_layers": 1e18}), vec!["num_hidden_layers"]),
        (json!({"hidden_act": "quick_gelu"}), vec!["hidden_act", "quick_gelu"]),
        (json!({"is_encoder_decoder": true}), vec!["is_encoder_decoder"]),
        (json!({"model_type": "mamba"}), vec!["unknown", "mamba", "mistral"]),
        (json!({"is_causal": false}), vec!["is_causal", "false", "only true"]),
        (json!({"num_local_experts": 8}), vec!["num_local_experts", "8", "not known"]),
        (json!({"logit_softcapping": 30.0}), vec!["logit_softcapping", "30.0", "not known"]),
        (
            json!({"quantization_config": {"bits": 4}}),
            vec!["quantization_config.quant_method", "must not be quantised"],
        ),
        (json!({"num_key_value_heads": 3}), vec!["n_kv_heads", "3", "n_heads = 4"]),
        (json!({"head_dim": 7}), vec!["d_head", "7", "even"]),
        (json!({"rms_norm_eps": -1.0}), vec!["eps"]),
        (json!({"rope_parameters": {"rope_type": "proportional", "factor": 4.0}}), vec!["rope_type", "proportional"]),
        (json!({"rope_parameters": {"rope_type": "yarn", "factor": -4.0}}), vec!["rope scaling"]),
        (json!({"rope_parameters": {"rope_type": "linear", "factor": 0.0}}), vec!["rope scaling"]),
        (json!({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}), vec!["partial_rotary"]),
        (json!({"rope_parameters": null, "rope_scaling": {"type": "dynamic"}}), vec!["lacks `factor`"]),
    ];
    for (changes, parts) in cases {
        let (_keep, path) = copy("llama-gqa");
        configure(&path, changes);
        assert_says(load(&path), &parts);
    }
    let (_keep, path) = copy("llama-gqa");
    fs::write(path.join("config.json"), "{\"model_type\": ").unwrap();
    assert_says(load(&path), &["config.json", "damaged"]);
}

#[test]
fn a_key_that_is_not_known_and_without_effect_is_reported() {
    let (_keep, path) = copy("llama-gqa");
    configure(&path, json!({"fine_tuned_by": "somebody", "use_new_attention": false}));
    assert_eq!(Checkpoint::open(&path).unwrap().unread_keys(), ["fine_tuned_by", "use_new_attention"]);
    for name in FAMILIES {
        assert!(Checkpoint::open(fixture(name)).unwrap().unread_keys().is_empty(), "{name}");
    }
    for name in GGUFS {
        let file = fixture(&format!("{name}/model.gguf"));
        assert!(Checkpoint::open(file).unwrap().unread_keys().is_empty(), "{name}");
    }
}

#[test]
fn tensors_that_do_not_fit() {
    let (_keep, path) = copy("llama-gqa");
    configure(&path, json!({"intermediate_size": 33}));
    assert_says(load(&path), &["model.layers.0.mlp.gate_proj.weight", "[33, 24]", "[32, 24]"]);
    let (_keep, path) = copy("llama-gqa");
    configure(&path, json!({"num_hidden_layers": 4}));
    assert_says(load(&path), &["lacks", "model.layers.3.input_layernorm.weight"]);
    let (_keep, path) = copy("llama-gqa");
    configure(&path, json!({"num_hidden_layers": 2}));
    assert_says(load(&path), &["no place for 9 tensor(s)", "model.layers.2."]);
    let (_keep, path) = copy("llama-gqa");
    configure(&path, json!({"tie_word_embeddings": false}));
    assert_says(load(&path), &["lacks", "lm_head.weight"]);
    let (_keep, path) = copy("llama-gqa");
    rewrite_header(&path, |header| header["model.norm.weight"]["dtype"] = json!("I32"));
    assert_says(load(&path), &["model.norm.weight", "I32"]);
}

#[test]
fn a_tied_head_that_is_stored_too() {
    // `llama-untied` said to be tied: its head is another matrix.
    let (_keep, path) = copy("llama-untied");
    configure(&path, json!({"tie_word_embeddings": true}));
    assert_says(
        load(&path),
        &["tie_word_embeddings", "`lm_head.weight` is another matrix than `model.embed_tokens.weight`"],
    );
    // With the embedding's bytes in its place it is the same matrix.
    let mut offsets = Vec::new();
    rewrite_header(&path, |header| {
        for name in ["lm_head.weight", "model.embed_tokens.weight"] {
            offsets.push(serde_json::from_value::<[usize; 2]>(header[name]["data_offsets"].clone()).unwrap());
        }
    });
    let file = path.join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let data = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let [head, embed] = [offsets[0], offsets[1]];
    bytes.copy_within(data + embed[0]..data + embed[1], data + head[0]);
    fs::write(&file, bytes).unwrap();
    load(&path).unwrap();
}

#[test]
fn a_weight_that_is_not_finite() {
    let (_keep, path) = copy("llama-gqa");
    let file = path.join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&file, bytes).unwrap();
    assert_says(load(&path), &["not finite", "NaN", "tensor `"]);
}

#[test]
fn tokenizers_that_cannot_be_used() {
    let refused = |result: Result<Tokenizer, ModelError>, parts: &[&str]| assert_says(result.map(|_| ()), parts);
    refused(Checkpoint::open(fixture("llama-f16")).unwrap().tokenizer(), &["tokenizer.json"]);
    refused(Checkpoint::open(fixture("llama-untied/model.gguf")).unwrap().tokenizer(), &["model.gguf", "`none`"]);
    let (_keep, path) = copy("llama-gqa");
    fs::write(path.join("tokenizer.json"), "{}").unwrap();
    refused(Tokenizer::from_file(path.join("tokenizer.json")), &["tokenizer.json", "cannot be used"]);
    // Another way of cutting text must not be taken for this one.
    let mut bytes = fs::read(path.join("model.gguf")).unwrap();
    let pre = position(&bytes, b"smollm");
    bytes[pre..pre + 6].copy_from_slice(b"magpie");
    fs::write(path.join("model.gguf"), bytes).unwrap();
    refused(Checkpoint::open(path.join("model.gguf")).unwrap().tokenizer(), &["`magpie`", "smollm"]);
}
