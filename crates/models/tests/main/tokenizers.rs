//! Tokenizers out of `tokenizer.json` and out of a GGUF: the ids and texts that the tokenizers library gives.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rlx_gguf::{GgufWriter, MetaValue};
use serde::Deserialize;
use stratigraph_models::Tokenizer;
use stratigraph_testing::{fixture, skipped};

/// What the tokenizers library gives.
#[derive(Deserialize)]
struct Expected {
    /// Ids of each text.
    ids: Vec<Vec<u32>>,
    /// The text of those ids.
    decoded: Vec<String>,
    /// Ids cut off in the middle of characters, and their texts.
    cut: Vec<(Vec<u32>, String)>,
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Compares every tokenizer in a directory, as both files, with what is expected; returns their names.
fn compare_all(dir: &Path) -> Vec<String> {
    let texts: Vec<String> = read(&dir.join("texts.json"));
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    for path in &paths {
        let expected: Expected = read(&path.join("ids.json"));
        for file in ["tokenizer.json", "tokenizer.gguf"] {
            let file = path.join(file);
            let tokenizer = Tokenizer::from_file(&file).unwrap();
            for ((text, ids), decoded) in texts.iter().zip(&expected.ids).zip(&expected.decoded) {
                assert_eq!(&tokenizer.encode(text).unwrap(), ids, "{}: {text:?}", file.display());
                assert_eq!(&tokenizer.decode(ids).unwrap(), decoded, "{}: {text:?}", file.display());
            }
            for (ids, decoded) in &expected.cut {
                assert_eq!(&tokenizer.decode(ids).unwrap(), decoded, "{}: {ids:?}", file.display());
            }
        }
        assert_eq!((texts.len(), texts.len()), (expected.ids.len(), expected.decoded.len()));
    }
    let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.into_iter().map(name).collect()
}

#[test]
fn every_kind_gives_the_ids_of_the_tokenizers_library() {
    let kinds = compare_all(&fixture("tokenizers"));
    let byte_level = [
        "bloom",
        "command-r",
        "dbrx",
        "falcon",
        "gpt-2",
        "gpt-4o",
        "llama-bpe",
        "olmo",
        "phi-2",
        "qwen2",
        "smollm",
        "tekken",
    ];
    let mut expected: Vec<&str> = byte_level.into_iter().chain(["gemma-spm", "llama-spm"]).collect();
    expected.sort();
    assert_eq!(kinds, expected);
}

#[test]
fn tokenizers_that_people_use_do_too() {
    let Some(dir) = std::env::var_os("STRATIGRAPH_TOKENIZERS") else {
        skipped("STRATIGRAPH_TOKENIZERS names no tokenizers");
        return;
    };
    let compared = compare_all(Path::new(&dir));
    assert!(!compared.is_empty());
    println!("compared {}", compared.join(", "));
}

#[test]
fn characters_that_are_cut_decode_to_what_stands_for_them() {
    let expected: Expected = read(&fixture("tokenizers/gpt-2/ids.json"));
    assert!(expected.cut.iter().any(|(_, text)| text.contains('\u{fffd}')), "the fixture cuts characters");
}

/// A GGUF file with this metadata.
fn gguf(pairs: &[(&str, MetaValue)]) -> tempfile::NamedTempFile {
    let mut writer = GgufWriter::new();
    writer.set_arch("llama");
    pairs.iter().for_each(|(key, value)| writer.set_meta(format!("tokenizer.ggml.{key}"), value.clone()));
    let file = tempfile::NamedTempFile::new().unwrap();
    writer.write_to_path(file.path()).unwrap();
    file
}

#[test]
fn vocabularies_that_are_not_understood_are_refused_by_name() {
    let text = |text: &str| MetaValue::String(text.into());
    let texts = |list: &[&str]| MetaValue::Array(list.iter().map(|t| MetaValue::String((*t).into())).collect());
    let types = |n: usize| MetaValue::Array(vec![MetaValue::I32(1); n]);
    let scores = |list: &[f32]| MetaValue::Array(list.iter().map(|s| MetaValue::F32(*s)).collect());
    let (tokens, merges) = (("tokens", texts(&["a", "b", "ab"])), ("merges", texts(&["a b"])));
    let bpe = ("model", text("gpt2"));
    let spm = ("model", text("llama"));
    let kinds = ("token_type", types(3));
    let pre = ("pre", text("gpt-2"));
    let cases = [
        (vec![], "lacks `tokenizer.ggml.model`"),
        (vec![("model", text("t5"))], "`t5`"),
        (vec![bpe.clone()], "lacks `tokenizer.ggml.tokens`"),
        (vec![bpe.clone(), tokens.clone()], "lacks `tokenizer.ggml.token_type`"),
        (vec![bpe.clone(), tokens.clone(), ("token_type", types(2))], "3 tokens and 2 token types"),
        (vec![bpe.clone(), tokens.clone(), kinds.clone()], "lacks `tokenizer.ggml.merges`"),
        (vec![bpe.clone(), tokens.clone(), kinds.clone(), merges.clone()], "lacks `tokenizer.ggml.pre`"),
        (
            vec![bpe.clone(), tokens.clone(), kinds.clone(), merges.clone(), ("pre", text("deepseek"))],
            "`deepseek`; known: gpt-2",
        ),
        (
            vec![bpe.clone(), tokens.clone(), kinds.clone(), ("merges", texts(&["ab"])), pre.clone()],
            "the merge `ab` has no two parts",
        ),
        (vec![bpe, ("tokens", texts(&["a", "a", "b"])), kinds.clone(), merges, pre], "1 of its tokens occur twice"),
        (vec![spm.clone(), tokens.clone(), kinds.clone()], "lacks `tokenizer.ggml.scores`"),
        (vec![spm.clone(), tokens.clone(), kinds.clone(), ("scores", scores(&[0.0]))], "3 tokens and 1 scores"),
        (vec![spm, tokens, kinds, ("scores", scores(&[0.0, f32::NAN, 0.0]))], "score of token 1 is not a number"),
    ];
    for (pairs, part) in cases {
        let file = gguf(&pairs);
        let message = Tokenizer::from_file(file.path()).expect_err(part).to_string();
        assert!(message.contains(part) && !message.contains('\n'), "`{message}` does not say `{part}`");
    }
}

#[test]
fn a_gguf_of_sentencepiece_that_names_no_bos_has_the_usual_one() {
    let texts = ["<unk>", "<s>", "a"].map(|text| MetaValue::String(text.into()));
    let bos = |types: [i32; 3]| {
        let file = gguf(&[
            ("model", MetaValue::String("llama".into())),
            ("tokens", MetaValue::Array(texts.to_vec())),
            ("token_type", MetaValue::Array(types.map(MetaValue::I32).to_vec())),
            ("scores", MetaValue::Array(vec![MetaValue::F32(0.0); 3])),
        ]);
        let bos = Tokenizer::from_file(file.path()).unwrap().bos();
        (bos.id, bos.is_usual)
    };
    assert_eq!(bos([2, 3, 1]), (Some(1), true));
    assert_eq!(bos([2, 1, 1]), (None, true)); // a plain token
}

#[test]
fn a_gguf_whose_vocabulary_is_not_understood_may_have_a_tokenizer_beside_it() {
    let json: serde_json::Value = read(&fixture("tokenizers/qwen2/tokenizer.json"));
    let of_vocabulary = json["model"]["vocab"].as_object().unwrap().iter();
    let of_vocabulary = of_vocabulary.map(|(token, id)| (id.as_u64().unwrap(), token.clone()));
    let added = json["added_tokens"].as_array().unwrap().iter();
    let added = added.map(|token| (token["id"].as_u64().unwrap(), token["content"].as_str().unwrap().to_owned()));
    let tokens: BTreeMap<u64, String> = of_vocabulary.chain(added).collect();
    let text = |text: &str| MetaValue::String(text.into());
    let texts = |list: Vec<&str>| MetaValue::Array(list.into_iter().map(text).collect());
    let dir = tempfile::tempdir().unwrap();
    let (path, beside) = (dir.path().join("model.gguf"), dir.path().join("tokenizer.json"));
    let copied = |kind: &str| fs::copy(fixture(&format!("tokenizers/{kind}/tokenizer.json")), &beside).unwrap();
    for (model, pre) in [("gpt2", "exaone4"), ("t5", "default")] {
        let file = gguf(&[
            ("model", text(model)),
            ("tokens", texts(tokens.values().map(String::as_str).collect())),
            ("token_type", MetaValue::Array(vec![MetaValue::I32(1); tokens.len()])),
            ("merges", texts(vec!["a b"])),
            ("pre", text(pre)),
        ]);
        fs::copy(file.path(), &path).unwrap();
        let _ = fs::remove_file(&beside);
        let message = Tokenizer::from_file(&path).unwrap_err().to_string();
        assert!(message.contains("put the model's tokenizer.json beside the file"), "{message}");
        copied("gpt-2");
        let message = Tokenizer::from_file(&path).unwrap_err().to_string();
        assert!(message.contains("another model's: token ") && message.contains("known: "), "{message}");
        copied("qwen2");
        let (found, whole) = (Tokenizer::from_file(&path).unwrap(), Tokenizer::from_file(&beside).unwrap());
        for sample in read::<Vec<String>>(&fixture("tokenizers/texts.json")) {
            assert_eq!(found.encode(&sample).unwrap(), whole.encode(&sample).unwrap(), "{sample:?}");
        }
    }
}
