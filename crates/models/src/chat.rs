//! The chat template and the stop tokens of a checkpoint: [`ChatFormat`], [`Checkpoint::stop_tokens`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::directory::{is_there, read_json_object};
use crate::files::GgufFile;
use crate::{Checkpoint, ModelError, Result};

/// The files of a Hugging Face directory that are read.
const TEMPLATE: &str = "chat_template.jinja";
const OLDER_TEMPLATE: &str = "chat_template.json";
const TOKENIZER: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const GENERATION: &str = "generation_config.json";

/// `tokenizer.ggml.token_type` of control and user-defined tokens.
const SPECIAL: [u32; 2] = [3, 4];

/// Tokens that end a text or a turn by what they are called, whatever a GGUF file says: those of llama.cpp's
/// `src/llama-vocab.cpp` (`special_eog_ids`) for families that are read here, and Cohere's.
const ENDS: [&str; 10] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<EOT>",
    "<|END_OF_TURN_TOKEN|>",
];

/// A checkpoint's chat template, in Jinja, and the special tokens that it may name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChatFormat {
    /// The template.
    pub template: String,
    /// The texts of special tokens by the names of their roles, such as `bos_token`.
    pub special_tokens: BTreeMap<String, String>,
}

impl Checkpoint {
    /// The chat template: `chat_template.jinja`, the one in `tokenizer_config.json` (of several that named `default`) or in
    /// `chat_template.json`, or the one of a GGUF file. None where there is none.
    ///
    /// # Errors
    /// When a file cannot be read or is malformed.
    pub fn chat_format(&self) -> Result<Option<ChatFormat>> {
        match self.gguf() {
            Some(file) => self.format_of_gguf(file),
            None => format_of_directory(self.path()),
        }
    }

    /// The tokens that end a text: `eos_token_id` of `generation_config.json`, or else of `config.json` or its text model; in a
    /// GGUF file those that it names as the end of a text, a turn or a message, and special tokens with a name that llama.cpp
    /// takes for one, such as `<|im_end|>`. In order; empty where nothing says so.
    ///
    /// # Errors
    /// When a file cannot be read or is malformed.
    pub fn stop_tokens(&self) -> Result<Vec<u32>> {
        if let Some(file) = self.gguf() {
            return Ok(ends_of_gguf(file).into_iter().collect());
        }
        let generation = optional(&self.path().join(GENERATION))?;
        let config = || Ok::<_, ModelError>(self.hf_config()?.unwrap_or_default());
        let ids = match generation.get("eos_token_id") {
            Some(ids) if !ids.is_null() => token_ids(ids),
            _ => {
                let config = config()?;
                let of = |config: &Map<String, Value>| {
                    config.get("eos_token_id").filter(|ids| !ids.is_null()).map(token_ids)
                };
                let of_text_model = || of(config.get("text_config")?.as_object()?);
                of(&config).or_else(of_text_model).unwrap_or_default()
            }
        };
        Ok(ids.into_iter().collect())
    }

    fn format_of_gguf(&self, file: &GgufFile) -> Result<Option<ChatFormat>> {
        let Some(template) = file.text("tokenizer.chat_template") else { return Ok(None) };
        let texts = file.texts("tokenizer.ggml.tokens").unwrap_or_default();
        let text = |id: u32| texts.get(id as usize).map(|text| (*text).to_owned());
        let roles = [("bos", "bos_token"), ("eos", "eos_token"), ("unknown", "unk_token"), ("padding", "pad_token")];
        let token = |(key, role): (&str, &str)| {
            Some((role.to_owned(), text(file.number(&format!("tokenizer.ggml.{key}_token_id"))?)?))
        };
        let special_tokens = roles.into_iter().filter_map(token).collect();
        Ok(Some(ChatFormat { template: template.to_owned(), special_tokens }))
    }
}

fn ends_of_gguf(file: &GgufFile) -> BTreeSet<u32> {
    let keys = ["eos_token_id", "eot_token_id", "eom_token_id"];
    let named = keys.iter().filter_map(|key| file.number(&format!("tokenizer.ggml.{key}")));
    let texts = file.texts("tokenizer.ggml.tokens").unwrap_or_default();
    let types = file.numbers("tokenizer.ggml.token_type").unwrap_or_default();
    // gpt-oss ends a part of a turn with <|end|>, and the turn with <|return|>.
    let is_end = |text: &str| ENDS.contains(&text) && (text != "<|end|>" || !texts.contains(&"<|return|>"));
    let known = (0..).zip(texts.iter().zip(&types)).filter(|(_, (text, kind))| SPECIAL.contains(kind) && is_end(text));
    named.chain(known.map(|(id, _)| id)).collect()
}

fn format_of_directory(directory: &Path) -> Result<Option<ChatFormat>> {
    let config = optional(&directory.join(TOKENIZER))?;
    let file = directory.join(TEMPLATE);
    let template = match config.get("chat_template").and_then(default_template) {
        _ if is_there(&file)? => Some(fs::read_to_string(&file).map_err(ModelError::io(&file))?),
        Some(template) => Some(template),
        None => optional(&directory.join(OLDER_TEMPLATE))?.get("chat_template").and_then(default_template),
    };
    let Some(template) = template else { return Ok(None) };
    let mut special_tokens = special_tokens(&optional(&directory.join(SPECIAL_TOKENS))?);
    special_tokens.extend(self::special_tokens(&config));
    Ok(Some(ChatFormat { template, special_tokens }))
}

/// A template, or that named `default` of a list of them.
fn default_template(value: &Value) -> Option<String> {
    match value {
        Value::String(template) => Some(template.clone()),
        Value::Array(list) => {
            let named = list.iter().find(|entry| entry["name"] == "default")?;
            named["template"].as_str().map(str::to_owned)
        }
        _ => None,
    }
}

/// The special tokens that a configuration names, as texts or as objects with a `content`.
fn special_tokens(config: &Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned);
    let tokens = config.iter().filter(|(role, _)| role.ends_with("_token"));
    tokens.filter_map(|(role, value)| Some((role.clone(), text(value)?))).collect()
}

/// An id, or a list of them.
fn token_ids(value: &Value) -> BTreeSet<u32> {
    let ids = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    ids.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok()).collect()
}

/// A JSON object in a file; empty where there is no such file.
fn optional(file: &Path) -> Result<Map<String, Value>> {
    if is_there(file)? { read_json_object(file) } else { Ok(Map::new()) }
}
