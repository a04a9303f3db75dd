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
fn a_directory_names_its_template_in_one_of_three_ways() {
    let (_dir, path) = copy("llama-gqa");
    let format = || Checkpoint::open(&path).unwrap().chat_format().unwrap();
    assert_eq!(format(), None);
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

#[test]
fn a_gguf_file_names_both() {
    let whole = GgufFile::from_path(fixture("llama-gqa/model.gguf")).unwrap();
    let mut writer = GgufWriter::new();
    whole.metadata.iter().for_each(|(key, value)| writer.set_meta(key.clone(), value.clone()));
    writer.set_meta("tokenizer.chat_template", MetaValue::String("{{ bos_token }}".into()));
    for (key, id) in [("bos_token_id", 3), ("eos_token_id", 9), ("eot_token_id", 4)] {
        writer.set_meta(format!("tokenizer.ggml.{key}"), MetaValue::U32(id));
    }
    for tensor in whole.tensors.values() {
        let bytes = whole.tensor_bytes(tensor).unwrap().to_vec();
        let (name, shape, dtype) = (tensor.name.clone(), tensor.shape.clone(), tensor.dtype);
        writer.add_tensor(TensorPayload { name, shape, dtype, bytes }).unwrap();
    }
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("model.gguf");
    writer.write_to_path(&path).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let format = checkpoint.chat_format().unwrap().unwrap();
    assert_eq!(format.template, "{{ bos_token }}");
    let Some(MetaValue::Array(tokens)) = whole.metadata.get("tokenizer.ggml.tokens") else { panic!("no tokens") };
    let MetaValue::String(text) = &tokens[3] else { panic!("no text") };
    assert_eq!(format.special_tokens["bos_token"], *text);
    assert_eq!(checkpoint.stop_tokens().unwrap(), [4, 9]);
    let plain = Checkpoint::open(fixture("llama-gqa/model.gguf")).unwrap();
    assert_eq!(plain.chat_format().unwrap(), None);
}
