//! Directories as people have them: shards, links, prefixes of names, eight-bit weights, adapters, older tokenizers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::{Int, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use stratigraph_core::{NoTap, RunModel};
use stratigraph_models::{Checkpoint, ModelError};
use stratigraph_testing::{device, fixture, host};

use crate::support::{assert_says, configure, copy, load};

const WEIGHTS: &str = "model.safetensors";

/// A tensor as it is stored.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn read(path: &Path) -> BTreeMap<String, Stored> {
    let bytes = fs::read(path.join(WEIGHTS)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let stored =
        |view: TensorView| Stored { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
    tensors.tensors().into_iter().map(|(name, view)| (name, stored(view))).collect()
}

fn write(path: &Path, tensors: &BTreeMap<String, Stored>) {
    let views = tensors.iter().map(|(name, stored)| {
        (name.as_str(), TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The logits of the token ids 1 to 6.
fn logits(path: &Path) -> Vec<f32> {
    let model = Checkpoint::open(path).unwrap().load(&device()).unwrap();
    let ids = Tensor::<1, Int>::from_data(&[1, 2, 3, 4, 5, 6][..], &device()).unsqueeze::<2>();
    host(model.logits(model.forward(ids, &mut NoTap).unwrap()).unwrap())
}

#[test]
fn names_with_any_usual_prefix_are_read() {
    for name in ["llama-gqa", "gpt2-prefixed", "neox-parallel", "phi", "gemma3"] {
        let expected = logits(&fixture(name));
        for prefix in ["_orig_mod.", "module.", "language_model.", "model.", "transformer.", "_orig_mod.module."] {
            let (_keep, path) = copy(name);
            let tensors = read(&path).into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor));
            write(&path.join(WEIGHTS), &tensors.collect());
            assert_eq!(logits(&path), expected, "{name}: {prefix}");
        }
    }
    // One of its own before a module inside, and a prefix that nobody knows.
    let (_keep, path) = copy("llama-gqa");
    let inner = |name: String| name.replace("layers.1.", "layers.1._orig_mod.");
    write(&path.join(WEIGHTS), &read(&path).into_iter().map(|(name, tensor)| (inner(name), tensor)).collect());
    assert_eq!(logits(&path), logits(&fixture("llama-gqa")));
    let tensors = read(&path).into_iter().map(|(name, tensor)| (format!("wrapped.{name}"), tensor)).collect();
    write(&path.join(WEIGHTS), &tensors);
    assert_says(load(&path), &["lacks the tensor `model.embed_tokens.weight`"]);
}

#[test]
fn eight_bit_weights_are_read_and_refused_with_a_scale() {
    // The values that the upper bits of each F16 stand for, once as F8_E5M2 and once as the F16 with the same value.
    let (_keep, narrow) = copy("llama-f16");
    let (_also, wide) = copy("llama-f16");
    let upper = |stored: &Stored| stored.bytes.chunks(2).map(|bytes| bytes[1]).collect::<Vec<_>>();
    let mut tensors = read(&narrow);
    for stored in tensors.values_mut() {
        (stored.bytes, stored.dtype) = (upper(stored), Dtype::F8_E5M2);
    }
    write(&narrow.join(WEIGHTS), &tensors);
    let mut tensors = read(&wide);
    for stored in tensors.values_mut() {
        stored.bytes = upper(stored).into_iter().flat_map(|byte| [0, byte]).collect();
    }
    write(&wide.join(WEIGHTS), &tensors);
    assert_eq!(logits(&narrow), logits(&wide));
    for scale in ["weight_scale", "weight_scale_inv", "scale_weight", "input_scale"] {
        let mut tensors = read(&narrow);
        let one = Stored { dtype: Dtype::F32, shape: vec![], bytes: 1f32.to_le_bytes().to_vec() };
        tensors.insert(format!("model.layers.0.mlp.up_proj.{scale}"), one);
        let (_keep, path) = copy("llama-f16");
        write(&path.join(WEIGHTS), &tensors);
        assert_says(load(&path), &["`model.layers.0.mlp.up_proj.weight`", "F8_E5M2", scale, "BF16"]);
    }
}

#[test]
fn shards_may_lack_an_index_and_others_may_be_left_over() {
    let expected = logits(&fixture("qwen2"));
    let index = "model.safetensors.index.json";
    let (_keep, path) = copy("qwen2");
    // Left over from another version: not named by the index.
    fs::copy(path.join("model-00001-of-00008.safetensors"), path.join("model-00001-of-00002.safetensors")).unwrap();
    assert_eq!(logits(&path), expected);
    fs::remove_file(path.join(index)).unwrap();
    assert_says(load(&path), &["9 files like model-00001-of-00002.safetensors", index]);
    fs::remove_file(path.join("model-00001-of-00002.safetensors")).unwrap();
    assert_eq!(logits(&path), expected);
    fs::remove_file(path.join("model-00003-of-00008.safetensors")).unwrap();
    assert_says(load(&path), &["7 files like model-00001-of-00008.safetensors", index]);
    let (_keep, path) = copy("qwen2");
    for nth in [3, 5] {
        fs::remove_file(path.join(format!("model-0000{nth}-of-00008.safetensors"))).unwrap();
    }
    assert_says(load(&path), &["2 of the 8 files", "model-00003-of-00008.safetensors", "download them"]);
    // A stale index beside a single file is not read.
    let (_keep, path) = copy("llama-gqa");
    fs::write(path.join(index), "{\"weight_map\": {\"x\": \"absent.safetensors\"}}").unwrap();
    load(&path).unwrap();
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_one_that_leads_nowhere_is_named() {
    use std::os::unix::fs::symlink;

    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("snapshot")).unwrap();
    for entry in fs::read_dir(fixture("qwen2")).unwrap().map(Result::unwrap) {
        symlink(entry.path(), at("snapshot").join(entry.file_name())).unwrap();
    }
    assert_eq!(logits(&at("snapshot")), logits(&fixture("qwen2")));
    let gone = |file: &str, from: &Path| {
        let link = from.join(file);
        let _ = fs::remove_file(&link);
        symlink("../../blobs/0000", &link).unwrap();
    };
    for file in ["config.json", "model.safetensors.index.json", "model-00003-of-00008.safetensors"] {
        let (_keep, path) = copy("qwen2");
        gone(file, &path);
        assert_says(load(&path), &[file, "a link to ../../blobs/0000, which is not there", "download"]);
    }
    let (_keep, path) = copy("llama-gqa");
    for file in ["model.safetensors", "tokenizer.json", "model.gguf"] {
        gone(file, &path);
    }
    assert_says(load(&path), &["model.safetensors", "a link to ../../blobs/0000"]);
    assert_says(load(&path.join("model.gguf")), &["model.gguf", "a link to ../../blobs/0000"]);
    fs::remove_file(path.join(WEIGHTS)).unwrap();
    fs::copy(fixture("llama-gqa").join(WEIGHTS), path.join(WEIGHTS)).unwrap();
    let tokenizer = Checkpoint::open(&path).unwrap().tokenizer().map(|_| ());
    assert_says(tokenizer, &["tokenizer.json", "a link to ../../blobs/0000"]);
}

#[test]
fn what_stands_for_a_file_that_was_not_fetched_is_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n";
    for file in ["model.safetensors", "model.gguf"] {
        let (_keep, path) = copy("llama-gqa");
        fs::write(path.join(file), pointer).unwrap();
        let opened = if file.ends_with("gguf") { path.join(file) } else { path.clone() };
        assert_says(load(&opened), &[file, "git lfs pull"]);
    }
}

#[test]
fn adapters_are_refused_with_the_way_to_merge_them() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("adapter_config.json");
    fs::write(&config, "{\"base_model_name_or_path\": \"org/base\", \"peft_type\": \"LORA\"}").unwrap();
    fs::write(dir.path().join("adapter_model.safetensors"), "x").unwrap();
    let told = &["an adapter (adapter_config.json) of `org/base`", "merge_and_unload().save_pretrained"];
    assert_says(load(dir.path()), told);
    // With the configuration of the base model beside it, too; damaged, it is still an adapter.
    fs::copy(fixture("llama-gqa/config.json"), dir.path().join("config.json")).unwrap();
    assert_says(load(dir.path()), told);
    fs::write(&config, "{").unwrap();
    assert_says(load(dir.path()), &["an adapter", "a model that it does not name"]);
    // transformers would add it to a model in the same directory; a merged model may have its configuration left over.
    fs::copy(fixture("llama-gqa").join(WEIGHTS), dir.path().join(WEIGHTS)).unwrap();
    assert_says(load(dir.path()), &["beside its weights is an adapter", "remove adapter_config.json"]);
    fs::remove_file(dir.path().join("adapter_model.safetensors")).unwrap();
    load(dir.path()).unwrap();
}

#[test]
fn weights_of_another_kind_are_named() {
    for (file, told) in
        [("pytorch_model.bin", "save_pretrained, which writes safetensors"), ("q4.gguf", "by its own name")]
    {
        let (_keep, path) = copy("llama-f16");
        fs::remove_file(path.join(WEIGHTS)).unwrap();
        fs::write(path.join(file), "x").unwrap();
        assert_says(load(&path), &["neither model.safetensors nor", file, told]);
    }
}

/// A directory with the tokenizer of a fixture in its older form.
fn older(kind: &str, class: Option<&str>) -> (tempfile::TempDir, std::path::PathBuf) {
    let (keep, path) = copy("llama-f16");
    let json: Value =
        serde_json::from_slice(&fs::read(fixture(&format!("tokenizers/{kind}/tokenizer.json"))).unwrap()).unwrap();
    let vocab = json["model"]["vocab"].as_object().unwrap();
    fs::write(path.join("vocab.json"), Value::from(vocab.clone()).to_string()).unwrap();
    let merge = |merge: &Value| match merge {
        Value::String(text) => text.clone(),
        pair => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
    };
    let merges: Vec<String> = json["model"]["merges"].as_array().unwrap().iter().map(merge).collect();
    fs::write(path.join("merges.txt"), format!("#version: 0.2\n{}\n", merges.join("\n"))).unwrap();
    let (listed, plain): (Vec<&Value>, Vec<&Value>) =
        json["added_tokens"].as_array().unwrap().iter().partition(|token| token["special"] == true);
    let plain = plain.iter().map(|token| (token["content"].as_str().unwrap().to_owned(), token["id"].clone()));
    fs::write(path.join("added_tokens.json"), Value::Object(plain.collect()).to_string()).unwrap();
    let special: Vec<&Value> = listed.iter().map(|token| &token["content"]).collect();
    let mut config = json!({ "additional_special_tokens": special });
    if let Some(class) = class {
        config["tokenizer_class"] = class.into();
    }
    fs::write(path.join("tokenizer_config.json"), config.to_string()).unwrap();
    (keep, path)
}

#[test]
fn vocab_and_merges_give_the_ids_of_the_tokenizers_library() {
    let texts: Vec<String> = serde_json::from_slice(&fs::read(fixture("tokenizers/texts.json")).unwrap()).unwrap();
    let by_type = [("gpt-2", "gpt2"), ("phi-2", "phi"), ("olmo", "gpt_neox"), ("qwen2", "qwen2"), ("qwen2", "qwen3")];
    let by_class = [
        ("gpt-2", "GPT2Tokenizer"),
        ("gpt-2", "GPT2TokenizerFast"),
        ("phi-2", "CodeGenTokenizer"),
        ("olmo", "GPTNeoXTokenizerFast"),
        ("qwen2", "Qwen2Tokenizer"),
    ];
    let cases = by_class.map(|(kind, class)| (kind, Some(class), None));
    for (kind, class, model_type) in cases.into_iter().chain(by_type.map(|(kind, of)| (kind, None, Some(of)))) {
        let (_keep, path) = older(kind, class);
        // The tokenizer alone is looked at, so the checkpoint is opened before its type becomes another one.
        let checkpoint = Checkpoint::open(&path).unwrap();
        configure(&path, json!({ "model_type": model_type.unwrap_or("llama") }));
        let tokenizer = checkpoint.tokenizer().unwrap();
        let expected: Value =
            serde_json::from_slice(&fs::read(fixture(&format!("tokenizers/{kind}/ids.json"))).unwrap()).unwrap();
        for (nth, text) in texts.iter().enumerate() {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(json!(ids), expected["ids"][nth], "{kind} {class:?}: {text:?}");
            assert_eq!(json!(tokenizer.decode(&ids).unwrap()), expected["decoded"][nth], "{kind} {class:?}: {text:?}");
        }
    }
}

#[test]
fn vocab_and_merges_may_begin_with_a_byte_order_mark() {
    let (_keep, path) = older("gpt-2", Some("GPT2Tokenizer"));
    let ids = |path: &Path| Checkpoint::open(path).unwrap().tokenizer().unwrap().encode("the lower layer").unwrap();
    let expected = ids(&path);
    for file in ["vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json"] {
        let text = fs::read_to_string(path.join(file)).unwrap();
        fs::write(path.join(file), format!("\u{feff}{text}")).unwrap();
    }
    assert_eq!(ids(&path), expected);
}

#[test]
fn tokenizers_of_another_kind_are_refused_with_the_command_that_makes_one() {
    let command = "T.from_pretrained('";
    let tokenizer = |path: &Path| -> Result<(), ModelError> { Checkpoint::open(path)?.tokenizer().map(|_| ()) };
    let (_keep, path) = older("gpt-2", Some("WhisperTokenizer"));
    assert_says(tokenizer(&path), &["a `WhisperTokenizer`", "GPT2Tokenizer", command]);
    let (_keep, path) = older("gpt-2", None);
    assert_says(tokenizer(&path), &["of no class that is named", command]);
    fs::remove_file(path.join("merges.txt")).unwrap();
    assert_says(tokenizer(&path), &["it has vocab.json and no tokenizer.json", command]);
    for file in ["tokenizer.model", "spiece.model", "tekken.json", "vocab.txt"] {
        let (_keep, path) = copy("llama-f16");
        fs::write(path.join(file), "x").unwrap();
        assert_says(tokenizer(&path), &[file, "no tokenizer.json", command]);
    }
    let (_keep, path) = older("gpt-2", Some("GPT2Tokenizer"));
    fs::write(path.join("merges.txt"), "#version: 0.2\na b\nab\n").unwrap();
    assert_says(tokenizer(&path), &["merges.txt", "line 3", "`ab`", "no two parts"]);
}
