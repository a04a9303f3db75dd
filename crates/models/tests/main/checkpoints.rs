//! Checkpoints that are whole, and all the ways in which they are not: each gives one error that names the thing.

use std::fs;
use std::path::{Path, PathBuf};

use rlx_gguf::{GgmlType, GgufWriter, MetaValue, TensorPayload};
use serde_json::{Value, json};
use stratigraph_core::ResidualModel;
use stratigraph_models::{ModelError, Pretrained, Tokenizer};
use stratigraph_testing::{Expected, FAMILIES, GGUFS, device, fixture, host};
use tempfile::TempDir;

/// A copy of a fixture that a test may damage.
fn copy(name: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    let path = dir.path().to_owned();
    (dir, path)
}

fn load(path: &Path) -> Result<(), ModelError> {
    Pretrained::open(path)?.load(&device()).map(|_| ())
}

#[track_caller]
fn assert_says(result: Result<(), ModelError>, parts: &[&str]) {
    let message = result.expect_err("this must be refused").to_string();
    for part in parts {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
    assert!(!message.contains('\n'), "one line: {message}");
}

/// Sets keys of `config.json`; null takes one away.
fn configure(path: &Path, changes: Value) {
    let file = path.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(file, config.to_string()).unwrap();
}

/// Rewrites the header of a safetensors file.
fn rewrite_header(path: &Path, change: impl FnOnce(&mut Value)) {
    let file = path.join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    let header = header.to_string();
    let parts = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + length..]];
    fs::write(file, parts.concat()).unwrap();
}

#[test]
fn every_gguf_type_is_read_as_its_reference_reads_it() {
    // The reader sees the file through a model, so each type becomes the embedding of one.
    let types = fixture("gguf-types.gguf");
    let header = rlx_gguf::GgufFile::from_path(&types).unwrap();
    let expected = Expected::open("gguf-types.safetensors");
    for name in ["f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k"] {
        let tensor = &header.tensors[name];
        let bytes = header.tensor_bytes(tensor).unwrap().to_vec();
        let file = embedding_gguf(tensor.dtype, bytes);
        let model = Pretrained::open(file.path()).unwrap().load(&device()).unwrap();
        let ids = burn::tensor::Tensor::from_data([[0, 1]], &device());
        let found = host(model.embed(ids).unwrap());
        assert_eq!(found, expected.tensor(name).values, "{name}");
    }
}

/// A one-layer model with a width of 256 whose embedding of two tokens is stored as `dtype`.
fn embedding_gguf(dtype: GgmlType, bytes: Vec<u8>) -> tempfile::NamedTempFile {
    let mut writer = GgufWriter::new();
    writer.set_arch("llama");
    let sizes = [("block_count", 1), ("context_length", 8), ("embedding_length", 256), ("feed_forward_length", 1)];
    for (key, value) in sizes.into_iter().chain([("attention.head_count", 1), ("attention.key_length", 2)]) {
        writer.set_meta(format!("llama.{key}"), MetaValue::U32(value));
    }
    writer.set_meta("llama.attention.layer_norm_rms_epsilon", MetaValue::F32(1e-5));
    let zeros = |name: &str, shape: Vec<usize>| {
        let bytes = vec![0; shape.iter().product::<usize>() * 4];
        TensorPayload { name: name.into(), shape, dtype: GgmlType::F32, bytes }
    };
    let mut tensors = vec![
        TensorPayload { name: "token_embd.weight".into(), shape: vec![256, 2], dtype, bytes },
        zeros("output_norm.weight", vec![256]),
    ];
    let shapes = [
        ("attn_norm", vec![256]),
        ("attn_q", vec![256, 2]),
        ("attn_k", vec![256, 2]),
        ("attn_v", vec![256, 2]),
        ("attn_output", vec![2, 256]),
        ("ffn_norm", vec![256]),
        ("ffn_gate", vec![256, 1]),
        ("ffn_up", vec![256, 1]),
        ("ffn_down", vec![1, 256]),
    ];
    tensors.extend(shapes.into_iter().map(|(name, shape)| zeros(&format!("blk.0.{name}.weight"), shape)));
    tensors.into_iter().for_each(|tensor| writer.add_tensor(tensor).unwrap());
    let file = tempfile::NamedTempFile::new().unwrap();
    writer.write_to_path(file.path()).unwrap();
    file
}

#[test]
fn both_tokenizers_give_the_ids_of_the_tokenizers_library() {
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(fixture("llama-gqa/tokens.json")).unwrap()).unwrap();
    assert!(cases.len() > 10);
    for path in ["llama-gqa", "llama-gqa/model.gguf"] {
        let tokenizer = Pretrained::open(fixture(path)).unwrap().tokenizer().unwrap();
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
    assert_says(load(&at("absent")), &["absent", "cannot read"]);
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
        (json!({"model_type": "mixtral"}), vec!["unknown", "mixtral", "mistral"]),
        (json!({"num_local_experts": 8}), vec!["num_local_experts", "8", "not known"]),
        (json!({"logit_softcapping": 30.0}), vec!["logit_softcapping", "30.0", "not known"]),
        (json!({"quantization_config": {"bits": 4}}), vec!["quantization_config", "not known"]),
        (json!({"num_key_value_heads": 3}), vec!["n_kv_heads", "3", "n_heads = 4"]),
        (json!({"head_dim": 7}), vec!["d_head", "7", "even"]),
        (json!({"rms_norm_eps": -1.0}), vec!["eps"]),
        (json!({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}), vec!["rope_type", "yarn"]),
        (json!({"rope_parameters": {"rope_type": "linear", "factor": 0.0}}), vec!["rope scaling"]),
        (json!({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}), vec!["partial_rotary"]),
        (json!({"rope_parameters": null, "rope_scaling": {"type": "dynamic", "factor": 2.0}}), vec!["dynamic"]),
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
    assert_eq!(Pretrained::open(&path).unwrap().unread_keys(), ["fine_tuned_by", "use_new_attention"]);
    for name in FAMILIES {
        assert!(Pretrained::open(fixture(name)).unwrap().unread_keys().is_empty(), "{name}");
    }
    for name in GGUFS {
        let file = fixture(&format!("{name}/model.gguf"));
        assert!(Pretrained::open(file).unwrap().unread_keys().is_empty(), "{name}");
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
fn safetensors_whose_header_lies_or_whose_end_is_missing() {
    let (_keep, path) = copy("llama-gqa");
    let file = path.join("model.safetensors");
    let whole = fs::read(&file).unwrap();
    for length in [0, 1, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        assert_says(load(&path), &["model.safetensors"]);
    }
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&file, huge).unwrap();
    assert_says(load(&path), &["model.safetensors", "damaged"]);
    fs::write(&file, &whole).unwrap();
    rewrite_header(&path, |header| header["model.norm.weight"]["data_offsets"] = json!([0, 96]));
    assert_says(load(&path), &["model.safetensors", "damaged"]);
}

#[test]
fn gguf_files_cut_short_or_with_a_header_that_lies() {
    let whole = fs::read(fixture("llama-gqa/model.gguf")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("broken.gguf");
    let lengths = (0..whole.len()).step_by(997).chain([1, 4, 8, 23, whole.len() - 1]);
    for length in lengths {
        fs::write(&file, &whole[..length]).unwrap();
        assert_says(load(&file), &["broken.gguf"]);
    }
    for (at, what) in [(8, "tensors"), (16, "metadata")] {
        let mut huge = whole.clone();
        huge[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        fs::write(&file, huge).unwrap();
        assert_says(load(&file), &["broken.gguf"]);
        println!("a huge count of {what} is refused");
    }
    let offset_of_norm = position(&whole, b"output_norm.weight") + "output_norm.weight".len() + 4 + 8 + 4;
    let mut moved = whole.clone();
    moved[offset_of_norm..offset_of_norm + 8].copy_from_slice(&(1u64 << 40).to_le_bytes());
    fs::write(&file, moved).unwrap();
    assert_says(load(&file), &["output_norm.weight", "inside the file"]);
    // Where the first tensor lies, inside the file but another one's place, and between two aligned places.
    for (offset, part) in [(0u64, "overlaps"), (33, "overlaps")] {
        let mut moved = whole.clone();
        moved[offset_of_norm..offset_of_norm + 8].copy_from_slice(&offset.to_le_bytes());
        fs::write(&file, moved).unwrap();
        assert_says(load(&file), &["broken.gguf", part]);
    }
    let mut twice = whole.clone();
    let name = position(&whole, b"blk.1.ffn_norm.weight");
    twice[name + 4] = b'0';
    fs::write(&file, twice).unwrap();
    assert_says(load(&file), &["same name"]);
}

#[test]
fn a_gguf_alignment_of_zero() {
    let mut writer = GgufWriter::new();
    writer.set_arch("llama");
    writer.set_meta("general.alignment", MetaValue::U32(32));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zero.gguf");
    writer.write_to_path(&file).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let value = position(&bytes, b"general.alignment") + "general.alignment".len() + 4;
    bytes[value..value + 4].copy_from_slice(&[0; 4]);
    fs::write(&file, bytes).unwrap();
    assert_says(load(&file), &["alignment of 0"]);
}

fn position(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("it is there")
}

#[test]
fn flipped_bits_never_panic() {
    let whole = fs::read(fixture("llama-gqa/model.gguf")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("flipped.gguf");
    // The header: metadata, vocabulary and tensor table.
    for at in (0..9_000).step_by(13) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&file, bytes).unwrap();
        if let Ok(checkpoint) = Pretrained::open(&file) {
            let _ = checkpoint.tokenizer();
            let _ = checkpoint.load(&device());
        }
    }
}

#[test]
fn tokenizers_that_cannot_be_used() {
    let refused = |result: Result<Tokenizer, ModelError>, parts: &[&str]| assert_says(result.map(|_| ()), parts);
    refused(Pretrained::open(fixture("llama-f16")).unwrap().tokenizer(), &["tokenizer.json"]);
    refused(Pretrained::open(fixture("llama-untied/model.gguf")).unwrap().tokenizer(), &["model.gguf", "`none`"]);
    let (_keep, path) = copy("llama-gqa");
    fs::write(path.join("tokenizer.json"), "{}").unwrap();
    refused(Tokenizer::from_file(path.join("tokenizer.json")), &["tokenizer.json", "cannot be used"]);
    // Another way of cutting text must not be taken for this one.
    let mut bytes = fs::read(path.join("model.gguf")).unwrap();
    let pre = position(&bytes, b"smollm");
    bytes[pre..pre + 6].copy_from_slice(b"falcon");
    fs::write(path.join("model.gguf"), bytes).unwrap();
    refused(Pretrained::open(path.join("model.gguf")).unwrap().tokenizer(), &["`falcon`", "smollm"]);
}
