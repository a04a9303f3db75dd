//! Chat templates and ends of texts, as directories and GGUF files name them.

use std::fs;
use std::path::Path;

use rlx_gguf::{GgufFile, GgufWriter, MetaValue, TensorPayload};
use serde_json::{Value, json};
use stratigraph_models::Checkpoint;
use stratigraph_testing::fixture;
use tempfile::TempDir;

use crate::support::{configure, copy};

fn write(path: &Path, file: &str, content: &Value) {
    fs::write(path.join(file), content.to_string()).unwrap();
}

#[test]
fn a_directory_names_its_template_in_one_of_four_ways() {
    let (_dir, path) = copy("llama-gqa");
    let format = || Checkpoint::open(&path).unwrap().chat_format().unwrap();
    assert_eq!(format(), None);
    write(&path, "chat_template.json", &json!({"chat_template": "oldest"}));
    assert_eq!(format().unwrap().template, "oldest");
    let bos = json!({"content": "<s>", "lstrip": false});
    write(&path, "special_tokens_map.json", &json!({"bos_token": "old", "pad_token": "<pad>"}));
    write(&path, "tokenizer_config.json", &json!({"bos_token": bos, "eos_token": "</s>", "chat_template": "one"}));
    let found = format().unwrap();
    assert_eq!(found.template, "one");
    let tokens: Vec<_> = found.special_tokens.iter().map(|(role, text)| (role.as_str(), text.as_str())).collect();
    assert_eq!(tokens, [("bos_token", "<s>"), ("eos_token", "</s>"), ("pad_token", "<pad>")]);
    let several = json!([{"name": "tool_use", "template": "two"}, {"name": "default", "template": "three"}]);
    write(&path, "tokenizer_config.json", &json!({"chat_template": several}));
    assert_eq!(format().unwrap().template, "three");
    fs::write(path.join("chat_template.jinja"), "four").unwrap();
    assert_eq!(format().unwrap().template, "four");
    fs::write(path.join("tokenizer_config.json"), "{").unwrap();
    assert!(Checkpoint::open(&path).unwrap().chat_format().is_err());
}

#[test]
fn a_directory_names_the_ends_of_texts() {
    let (_dir, path) = copy("llama-gqa");
    let ends = || Checkpoint::open(&path).unwrap().stop_tokens().unwrap();
    write(&path, "generation_config.json", &json!({"eos_token_id": [7, 2, 7]}));
    assert_eq!(ends(), [2, 7]);
    write(&path, "generation_config.json", &json!({"eos_token_id": null}));
    configure(&path, json!({"eos_token_id": 5}));
    assert_eq!(ends(), [5]);
    fs::remove_file(path.join("generation_config.json")).unwrap();
    assert_eq!(ends(), [5]);
    configure(&path, json!({"eos_token_id": null}));
    assert_eq!(ends(), [0; 0]);
}

fn whole() -> GgufFile {
    GgufFile::from_path(fixture("llama-gqa/model.gguf")).unwrap()
}

/// A list of the file's tokenizer.
fn list(key: &str) -> Vec<MetaValue> {
    let Some(MetaValue::Array(list)) = whole().metadata.get(key).cloned() else { panic!("no {key}") };
    list
}

/// The file with other values for some keys.
fn with_values(values: impl IntoIterator<Item = (&'static str, MetaValue)>) -> (TempDir, Checkpoint) {
    let (whole, mut writer) = (whole(), GgufWriter::new());
    whole.metadata.iter().for_each(|(key, value)| writer.set_meta(key.clone(), value.clone()));
    values.into_iter().for_each(|(key, value)| writer.set_meta(key, value));
    for tensor in whole.tensors.values() {
        let bytes = whole.tensor_bytes(tensor).unwrap().to_vec();
        let (name, shape, dtype) = (tensor.name.clone(), tensor.shape.clone(), tensor.dtype);
        writer.add_tensor(TensorPayload { name, shape, dtype, bytes }).unwrap();
    }
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("model.gguf");
    writer.write_to_path(&path).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    (dir, checkpoint)
}

#[test]
fn a_gguf_file_names_both() {
    let (_dir, checkpoint) = with_values([
        ("tokenizer.chat_template", MetaValue::String("{{ bos_token }}".into())),
        ("tokenizer.ggml.bos_token_id", MetaValue::U32(3)),
        ("tokenizer.ggml.eos_token_id", MetaValue::U32(9)),
        ("tokenizer.ggml.eot_token_id", MetaValue::U32(4)),
    ]);
    let format = checkpoint.chat_format().unwrap().unwrap();
    assert_eq!(format.template, "{{ bos_token }}");
    let tokens = list("tokenizer.ggml.tokens");
    let MetaValue::String(text) = &tokens[3] else { panic!("no text") };
    assert_eq!(format.special_tokens["bos_token"], *text);
    assert_eq!(checkpoint.stop_tokens().unwrap(), [0, 4, 9]); // 0 is <|endoftext|>
    let plain = Checkpoint::open(fixture("llama-gqa/model.gguf")).unwrap();
    assert_eq!(plain.chat_format().unwrap(), None);
}

#[test]
fn special_tokens_of_a_gguf_file_end_a_text_by_their_names() {
    let ends = |named: &[(usize, &str, i32)]| {
        let [mut tokens, mut types] = ["tokenizer.ggml.tokens", "tokenizer.ggml.token_type"].map(list);
        for &(id, name, kind) in named {
            (tokens[id], types[id]) = (MetaValue::String(name.into()), MetaValue::I32(kind));
        }
        let lists = [("tokenizer.ggml.tokens", tokens), ("tokenizer.ggml.token_type", types)];
        let (_dir, checkpoint) = with_values(lists.map(|(key, list)| (key, MetaValue::Array(list))));
        checkpoint.stop_tokens().unwrap()
    };
    // A control token, a user-defined and a plain one; the file names <|endoftext|>.
    assert_eq!(ends(&[(7, "<|im_end|>", 3), (8, "<|end|>", 4), (10, "<|eot_id|>", 1)]), [0, 7, 8]);
    // In gpt-oss <|end|> does not end a turn.
    assert_eq!(ends(&[(8, "<|end|>", 3), (11, "<|return|>", 3)]), [0, 11]);
}
