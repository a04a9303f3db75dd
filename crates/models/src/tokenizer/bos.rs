//! The token that begins a text, as a checkpoint names it: [`of_directory`], [`of_gguf`].

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use stratigraph_corpus::BosToken;

use super::library::Library;
use super::vocabulary::CONTROL;
use crate::Result;
use crate::directory::read_json_object;
use crate::files::GgufFile;

/// What `tokenizer_config.json` beside a `tokenizer.json` says, or else the post-processor in the latter.
///
/// # Errors
/// When there is a `tokenizer_config.json` that is not a JSON object.
pub(super) fn of_directory(library: &Library, json: &[u8], path: &Path) -> Result<BosToken> {
    let processed =
        serde_json::from_slice::<TokenizerFile>(json).ok().and_then(|file| first_token(&file.post_processor?));
    let config = read_config(path)?;
    let named = config.get("bos_token").and_then(|token| token.as_str().or_else(|| token.get("content")?.as_str()));
    let named = named.map(str::to_owned);
    let added = config.get("add_bos_token").and_then(Value::as_bool);
    let is_usual = added.unwrap_or(processed.is_some());
    let id = named.or(processed).and_then(|token| library.id(&token));
    Ok(BosToken::new(id, is_usual))
}

/// The part of a `tokenizer.json` that puts special tokens around a text.
#[derive(Deserialize)]
struct TokenizerFile {
    #[serde(default)]
    post_processor: Option<Value>,
}

/// The configuration beside a tokenizer; empty where there is none.
fn read_config(path: &Path) -> Result<Map<String, Value>> {
    let file = path.with_file_name("tokenizer_config.json");
    if !file.is_file() {
        return Ok(Map::new());
    }
    read_json_object(&file)
}

/// The special token that a post-processor puts before a text.
fn first_token(processor: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match processor.get("type")?.as_str()? {
        "TemplateProcessing" => text(processor.get("single")?.get(0)?.get("SpecialToken")?.get("id")?),
        "RobertaProcessing" | "BertProcessing" => text(processor.get("cls")?.get(0)?),
        "Sequence" => processor.get("processors")?.as_array()?.iter().find_map(first_token),
        _ => None,
    }
}

/// The BOS of SentencePiece's kind in llama.cpp, where a GGUF file names none.
const USUAL_ID: u32 = 1;

/// What a GGUF file says; where it says nothing, SentencePiece's kind, Llama 3's and Tekken begin texts with BOS.
pub(super) fn of_gguf(file: &GgufFile) -> BosToken {
    let is_llama = file.text("tokenizer.ggml.model") == Some("llama");
    let pre = file.text("tokenizer.ggml.pre");
    let by_kind = is_llama || matches!(pre, Some("llama-bpe" | "llama3" | "llama-v3" | "tekken"));
    let is_usual = file.flag("tokenizer.ggml.add_bos_token").unwrap_or(by_kind);
    let types = || file.numbers("tokenizer.ggml.token_type").unwrap_or_default();
    let usual_id = || (is_llama && types().get(USUAL_ID as usize) == Some(&CONTROL)).then_some(USUAL_ID);
    BosToken::new(file.number("tokenizer.ggml.bos_token_id").or_else(usual_id), is_usual)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::Tokenizer;

    fn tokenizer(kind: &str) -> Vec<u8> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tokenizers");
        fs::read(fixtures.join(kind).join("tokenizer.json")).unwrap()
    }

    /// The token of a tokenizer with this post-processor and configuration beside it.
    fn found(post_processor: Value, config: Option<&str>) -> Result<BosToken> {
        let directory = tempfile::tempdir().unwrap();
        let mut json: Value = serde_json::from_slice(&tokenizer("llama-spm")).unwrap();
        json["post_processor"] = post_processor;
        fs::write(directory.path().join("tokenizer.json"), json.to_string()).unwrap();
        if let Some(config) = config {
            fs::write(directory.path().join("tokenizer_config.json"), config).unwrap();
        }
        Ok(Tokenizer::from_file(directory.path().join("tokenizer.json"))?.bos())
    }

    fn template() -> Value {
        let token = json!({ "SpecialToken": { "id": "<s>", "type_id": 0 } });
        let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
        let ids = json!({ "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } });
        json!({ "type": "TemplateProcessing", "single": [token, text], "pair": [text], "special_tokens": ids })
    }

    #[test]
    fn the_post_processor_says_it_where_the_configuration_does_not() {
        assert_eq!(found(Value::Null, None).unwrap(), BosToken::new(None, false));
        assert_eq!(found(template(), None).unwrap(), BosToken::new(Some(1), true));
        let byte_level =
            json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true });
        let both = json!({ "type": "Sequence", "processors": [byte_level, template()] });
        assert_eq!(found(both, None).unwrap(), BosToken::new(Some(1), true));
    }

    #[test]
    fn the_configuration_comes_first() {
        let of = |post_processor, config| found(post_processor, Some(config)).unwrap();
        assert_eq!(of(template(), r#"{"add_bos_token": false, "bos_token": "<s>"}"#), BosToken::new(Some(1), false));
        let named = r#"{"add_bos_token": true, "bos_token": {"content": "</s>", "special": true}}"#;
        assert_eq!(of(Value::Null, named), BosToken::new(Some(2), true));
        assert_eq!(of(template(), r#"{"bos_token": null}"#), BosToken::new(Some(1), true));
        assert_eq!(of(Value::Null, r#"{"bos_token": "no such token"}"#), BosToken::new(None, false));
        let message = found(Value::Null, Some("[1]")).unwrap_err().to_string();
        assert!(message.contains("tokenizer_config.json"), "{message}");
    }
}
