//! Damaged configurations and headers of every kind: an error each time, never a panic, a hang, or memory that no file
//! of that size could need.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use stratigraph_models::{Checkpoint, ModelError, Tokenizer};
use stratigraph_testing::{
    FAMILIES, GGUFS, Watching, any_damage, any_json, device, fixture, largest_allocation, n_mutations, n_values,
    replace_somewhere,
};
use tempfile::TempDir;

use crate::support::position;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Far more than any file here needs at once (they have up to 130 kB), and far less than a header that lies asks for.
/// Most of it is for the backtrace that an error of the GGUF reader takes along, which reads the program's own tables.
const MOST_BYTES: usize = 16 << 20;

/// Opens and loads whatever lies at `path`; an error has one line, and nothing asks for much memory.
fn try_everything(path: &Path) -> Result<(), ModelError> {
    let (result, largest) = largest_allocation(|| {
        Checkpoint::open(path).and_then(|checkpoint| {
            let _ = checkpoint.tokenizer();
            checkpoint.load(&device()).map(|_| ())
        })
    });
    assert!(largest < MOST_BYTES, "{largest} bytes at once for {}: {result:?}", path.display());
    if let Err(error) = &result {
        assert!(!error.to_string().contains('\n'), "one line: {error}");
    }
    result
}

/// A directory with links to the files of a fixture, but for `changed`, which has this content.
fn with_changed(name: &str, changed: &str, content: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap();
        if file != changed {
            fs::hard_link(&path, dir.path().join(file))
                .or_else(|_| fs::copy(&path, dir.path().join(file)).map(drop))
                .unwrap();
        }
    }
    fs::write(dir.path().join(changed), content).unwrap();
    dir
}

/// Reads a tokenizer and does with it what a study does; nothing asks for much memory, and an error names the file.
fn try_tokenizer(path: &Path) -> Result<(), ModelError> {
    let (result, largest): (Result<(), ModelError>, usize) = largest_allocation(|| {
        let tokenizer = Tokenizer::from_file(path)?;
        let ids = tokenizer.encode("a text\nof 12 layers,  naïve é 日本 <|endoftext|>")?;
        tokenizer.encode_with_offsets(" é日")?;
        tokenizer.decode(&ids)?;
        tokenizer.token_texts()?;
        tokenizer.special_tokens();
        Ok(())
    });
    assert!(largest < MOST_BYTES, "{largest} bytes at once: {result:?}");
    if let Err(error) = &result {
        let message = error.to_string();
        assert!(!message.contains(|c: char| c.is_control()) && message.len() < 2000, "one short line: {message}");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(message.contains(name), "the file is named: {message}");
    }
    result
}

/// Where the header of a safetensors file ends.
fn header_end(bytes: &[u8]) -> usize {
    8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize
}

/// The kinds of tokenizers among the fixtures.
const KINDS: [&str; 11] =
    ["bloom", "falcon", "gemma-spm", "gpt-2", "llama-bpe", "llama-spm", "olmo", "phi-2", "qwen2", "smollm", "tekken"];

fn tokenizer_of(kind: &str) -> (TempDir, Vec<u8>) {
    let bytes = fs::read(fixture(&format!("tokenizers/{kind}/tokenizer.json"))).unwrap();
    (tempfile::tempdir().unwrap(), bytes)
}

fn written(dir: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join("tokenizer.json");
    fs::write(&path, bytes).unwrap();
    path
}

/// A value in a tokenizer's file: any, or a step of one, perhaps again and again.
fn any_step() -> impl Strategy<Value = Value> {
    let steps = [
        json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true }),
        json!({ "type": "Replace", "pattern": { "Regex": "(?=.)" }, "content": "xx" }),
        json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true }),
        json!({ "type": "FixedLength", "length": 0 }),
        json!({ "type": "Strip", "content": "a", "start": 3, "stop": 3 }),
        json!({ "type": "Strip", "strip_left": true, "strip_right": true }),
        json!({ "type": "Precompiled", "precompiled_charsmap": "BAAAAP////9hYgA=" }),
        json!({ "type": "BPEDecoder", "suffix": "" }),
        json!({ "type": "WordPiece", "prefix": "a", "cleanup": true }),
        json!({ "id": 1, "content": "  ", "special": false, "normalized": true, "single_word": true, "lstrip": true,
                "rstrip": true }),
        json!({ "type": "TemplateProcessing", "single": [{ "Sequence": { "id": "A", "type_id": 0 } }], "pair": [],
                "special_tokens": {} }),
    ];
    let repeated = (prop::sample::select(steps.to_vec()), 1usize..30).prop_map(|(step, times)| {
        let steps = vec![step; times];
        json!({ "type": "Sequence", "normalizers": steps, "pretokenizers": steps, "processors": steps, "decoders": steps })
    });
    prop_oneof![2 => any_json(), 1 => prop::sample::select(steps.to_vec()), 1 => repeated]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: n_mutations(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn configurations(
        name in prop::sample::select(&FAMILIES[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_json()), 1..4),
    ) {
        let mut config: Value = serde_json::from_slice(&fs::read(fixture(name).join("config.json")).unwrap()).unwrap();
        let object = config.as_object_mut().unwrap();
        let mut keys: Vec<_> = object.keys().cloned().collect();
        keys.extend(["rope_scaling", "rope_parameters", "layer_types", "sliding_window", "head_dim"].map(str::to_owned));
        for (key, value) in changes {
            object.insert(key.get(&keys).clone(), value);
        }
        let dir = with_changed(name, "config.json", config.to_string().as_bytes());
        let _ = try_everything(dir.path());
    }

    #[test]
    fn safetensors_headers(
        name in prop::sample::select(&FAMILIES[..]),
        changes in prop::collection::vec(any_damage(), 1..3),
    ) {
        let file = if name == "qwen2" { "model-00002-of-00008.safetensors" } else { "model.safetensors" };
        let mut bytes = fs::read(fixture(name).join(file)).unwrap();
        let end = header_end(&bytes);
        changes.iter().for_each(|change| change.apply(&mut bytes, end));
        let _ = try_everything(with_changed(name, file, &bytes).path());
    }

    #[test]
    fn indices_of_shards(changes in prop::collection::vec(any_damage(), 1..3)) {
        let file = "model.safetensors.index.json";
        let mut bytes = fs::read(fixture("qwen2").join(file)).unwrap();
        changes.iter().for_each(|change| change.apply(&mut bytes, usize::MAX));
        let _ = try_everything(with_changed("qwen2", file, &bytes).path());
    }

    #[test]
    fn gguf_headers(name in prop::sample::select(&GGUFS[..]), changes in prop::collection::vec(any_damage(), 1..3)) {
        let mut bytes = fs::read(fixture(name).join("model.gguf")).unwrap();
        changes.iter().for_each(|change| change.apply(&mut bytes, 8_000));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.gguf");
        fs::write(&file, bytes).unwrap();
        let _ = try_everything(&file);
    }

    #[test]
    fn gguf_vocabularies(
        kind in prop::sample::select(vec!["qwen2", "gemma-spm"]),
        changes in prop::collection::vec(any_damage(), 1..3),
    ) {
        let mut bytes = fs::read(fixture(&format!("tokenizers/{kind}/tokenizer.gguf"))).unwrap();
        changes.iter().for_each(|change| change.apply(&mut bytes, usize::MAX));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokenizer.gguf");
        fs::write(&file, bytes).unwrap();
        let _ = try_tokenizer(&file);
    }

    #[test]
    fn tokenizer_files(
        kind in prop::sample::select(&KINDS[..]),
        changes in prop::collection::vec(any_damage(), 1..3),
        where_steps_are in any::<bool>(),
    ) {
        let (dir, mut bytes) = tokenizer_of(kind);
        // The vocabulary fills most of a file, and what is done with a text comes before it.
        let within = if where_steps_are { position(&bytes, b"\"model\"") } else { usize::MAX };
        changes.iter().for_each(|change| change.apply(&mut bytes, within));
        let _ = try_tokenizer(&written(&dir, &bytes));
    }

    #[test]
    fn values_of_tokenizer_files(
        kind in prop::sample::select(&KINDS[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_step()), 1..3),
    ) {
        let (dir, bytes) = tokenizer_of(kind);
        let mut json: Value = serde_json::from_slice(&bytes).unwrap();
        for (place, new) in changes {
            let parts = ["normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens", "model"];
            let part = &mut json[*place.get(&parts)];
            let n = n_values(part);
            replace_somewhere(part, place.index(n), new);
        }
        let _ = try_tokenizer(&written(&dir, json.to_string().as_bytes()));
    }
}

#[test]
fn what_is_whole_is_read() {
    for name in FAMILIES {
        try_everything(&fixture(name)).unwrap();
    }
    for name in GGUFS {
        try_everything(&fixture(&format!("{name}/model.gguf"))).unwrap();
    }
}

#[test]
fn shards_that_are_not_what_the_index_says() {
    let says = |file: &str, content: &[u8], parts: &[&str]| {
        let dir = with_changed("qwen2", file, content);
        let message = try_everything(dir.path()).expect_err("this must be refused").to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    };
    let index: Value =
        serde_json::from_slice(&fs::read(fixture("qwen2/model.safetensors.index.json")).unwrap()).unwrap();
    let (tensor, shard) = index["weight_map"].as_object().unwrap().iter().next().unwrap();
    let with = |tensor: &str, file: &str| {
        let mut index = index.clone();
        index["weight_map"][tensor] = json!(file);
        index.to_string().into_bytes()
    };
    let file = "model.safetensors.index.json";
    says(file, &with(tensor, "../elsewhere.safetensors"), &["index.json", "`../elsewhere.safetensors`"]);
    says(file, &with(tensor, "absent.safetensors"), &["1 of the", "absent.safetensors", "not there"]);
    says(file, &with("more.weight", shard.as_str().unwrap()), &["`more.weight` is not in"]);
    says(file, br#"{"weight_map": {}}"#, &["names no file"]);
    says(file, b"{}", &["index.json", "weight_map"]);
    let other: PathBuf = fixture("qwen2/model-00001-of-00008.safetensors");
    says("model-00002-of-00008.safetensors", &fs::read(other).unwrap(), &["model-00001", "model-00002"]);
    says("model-00002-of-00008.safetensors", &[], &["model-00002-of-00008.safetensors", "is empty"]);
}
