//! Damaged files of the kinds that made a library panic, hang or ask for memory without bound: each gives one error.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rlx_gguf::{GgufWriter, MetaValue};
use serde_json::{Value, json};
use stratigraph_models::{Checkpoint, ModelError, Tokenizer};
use stratigraph_testing::{fixture, largest_allocation};

use crate::support::position;

fn tiny() -> Value {
    serde_json::from_slice(&fs::read(fixture("tokenizers/gpt-2/tokenizer.json")).unwrap()).unwrap()
}

/// Everything that a tokenizer does, of a file with this content.
fn use_tokenizer(content: &[u8]) -> Result<(), ModelError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    fs::write(&path, content).unwrap();
    let tokenizer = Tokenizer::from_file(&path)?;
    let ids = tokenizer.encode(" naïve  text of 12 layers")?;
    tokenizer.decode(&ids)?;
    tokenizer.token_texts().map(|_| ())
}

#[track_caller]
fn assert_refused(content: &[u8], parts: &[&str]) {
    let begun = Instant::now();
    let (result, largest) = largest_allocation(|| use_tokenizer(content));
    let message = result.expect_err("this must be refused").to_string();
    let named = parts.iter().chain(&["tokenizer.json"]).all(|part| message.contains(part));
    assert!(named && !message.contains('\n'), "`{message}` does not say {parts:?}");
    assert!(largest < 16 << 20 && begun.elapsed() < Duration::from_secs(5), "{largest} bytes, {:?}", begun.elapsed());
}

#[test]
fn faults_in_tokenizer_files_that_are_cut_anywhere() {
    let whole = tiny().to_string();
    let decoder = position(whole.as_bytes(), b"\"decoder\"");
    for at in (1..whole.len()).step_by(97).chain(decoder..decoder + 120) {
        assert_refused(&whole.as_bytes()[..at], &["cannot be used"]);
    }
}

#[test]
fn faults_in_tokenizer_files_by_their_step() {
    let with = |key: &str, step: Value| {
        let mut json = tiny();
        json[key] = step;
        json.to_string().into_bytes()
    };
    let precompiled = |table: Value| json!({ "type": "Precompiled", "precompiled_charsmap": table });
    assert_refused(&with("normalizer", json!({ "type": "Precompiled" })), &["gave up on it"]);
    assert_refused(&with("normalizer", precompiled(json!("/P///wAA"))), &["4294967292 bytes follow, and 2 do"]);
    assert_refused(&with("normalizer", precompiled(json!(7))), &["cannot be used"]);
    assert_refused(&with("pre_tokenizer", json!({ "type": "FixedLength", "length": 0 })), &["gave up on it"]);
    let strip = json!({ "type": "Strip", "content": "Ġ", "start": 0, "stop": 3 });
    assert_refused(&with("decoder", strip), &["gave up on it"]);
    let byte_level = tiny()["pre_tokenizer"].clone();
    let many = json!({ "type": "Sequence", "pretokenizers": vec![byte_level; 40] });
    assert_refused(&with("pre_tokenizer", many), &["times longer"]);
    let spaces = json!([{ "id": 1, "content": "  ", "special": false, "normalized": true, "single_word": false,
                          "lstrip": false, "rstrip": false }]);
    let mut bad_split: Value = serde_json::from_slice(&with("added_tokens", spaces)).unwrap();
    bad_split["normalizer"] = json!({ "type": "Strip", "strip_left": true, "strip_right": true });
    let _ = use_tokenizer(bad_split.to_string().as_bytes()); // an error or not, but no panic
}

#[test]
fn faults_in_tokenizer_ids() {
    let mut json = tiny();
    json["model"]["vocab"]["far away"] = json!(u32::MAX);
    assert_refused(json.to_string().as_bytes(), &["`far away` has the id 4294967295"]);
    json["model"]["vocab"]["far away"] = json!(u64::MAX);
    assert_refused(json.to_string().as_bytes(), &["cannot be used"]);
    // A gap between ids is no fault: there is an empty text for each id that is not a token's.
    json["model"]["vocab"]["far away"] = json!(1000);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    fs::write(&path, json.to_string()).unwrap();
    let texts = Tokenizer::from_file(&path).unwrap().token_texts().unwrap();
    assert_eq!((texts.len(), texts[999].as_str(), texts[1000].as_str()), (1001, "", "far away"));
}

#[test]
fn faults_in_texts_are_shown_on_one_short_line() {
    let mut json = tiny();
    json["model"]["vocab"][format!("\u{1b}[31m\n{}", "x".repeat(5000))] = json!(u32::MAX);
    let message = use_tokenizer(json.to_string().as_bytes()).unwrap_err().to_string();
    assert!(message.contains("\\u{1b}[31m\\n") && message.contains("bytes)") && message.len() < 700, "{message}");
    assert!(!message.contains(|c: char| c.is_control()), "{message:?}");
}

/// A GGUF file with this metadata.
fn gguf(path: &Path, pairs: &[(&str, MetaValue)]) {
    let mut writer = GgufWriter::new();
    writer.set_arch("llama");
    pairs.iter().for_each(|(key, value)| writer.set_meta(*key, value.clone()));
    writer.write_to_path(path).unwrap();
}

#[test]
fn faults_in_alignments_of_gguf() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    // The last bytes of the file, whatever the type of the number; and an alignment that no tensor has.
    for zero in [MetaValue::U32(0), MetaValue::U64(0), MetaValue::I64(0)] {
        let mut head = b"GGUF\x03\0\0\0".to_vec();
        head.extend([0u64, 1, 17].map(u64::to_le_bytes).concat());
        head.extend(b"general.alignment");
        match zero {
            MetaValue::U32(_) => head.extend([4, 0, 0, 0, 0, 0, 0, 0]),
            MetaValue::U64(_) => head.extend([10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            _ => head.extend([11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        }
        fs::write(&path, head).unwrap();
        let message = Checkpoint::open(&path).err().expect("this must be refused").to_string();
        assert!(message.contains("model.gguf") && message.contains("alignment of 0"), "{message}");
    }
}

#[test]
fn faults_in_lengths_of_gguf_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.gguf");
    let vocabulary = |tokens: Vec<String>| {
        let n = tokens.len();
        gguf(
            &path,
            &[
                ("tokenizer.ggml.model", MetaValue::String("llama".into())),
                ("tokenizer.ggml.tokens", MetaValue::Array(tokens.into_iter().map(MetaValue::String).collect())),
                ("tokenizer.ggml.token_type", MetaValue::Array(vec![MetaValue::I32(1); n])),
                ("tokenizer.ggml.scores", MetaValue::Array(vec![MetaValue::F32(0.0); n])),
            ],
        );
        let begun = Instant::now();
        let result = Tokenizer::from_file(&path);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        result
    };
    vocabulary(vec!["a".into(), "b".into(), "ab".repeat(400_000)]).unwrap();
    // Every cut of every token gives two others: the list of merges would be a thousand times as long as the file.
    let runs = (1..1500).map(|n| "a".repeat(n)).collect();
    let message = vocabulary(runs).expect_err("this must be refused").to_string();
    assert!(message.contains("tokenizer.gguf") && message.contains("1499 tokens"), "{message}");
}
