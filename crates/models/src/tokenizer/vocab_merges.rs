//! Byte-level BPE in the older form, `vocab.json` and `merges.txt`: [`tokenizer_json`].
//!
//! The files do not say how a text is cut. The class of the tokenizer does, as transformers defines it; of another class than
//! those that are known, [`make_one`] says how transformers makes a `tokenizer.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use stratigraph_core::shown;

use super::byte_level::{Pieces, assemble, two_parts};
use super::cuts::{Cut, cut};
use crate::directory::{is_there, read_json_object};
use crate::{ModelError, Result};

pub(super) const VOCAB: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const CONFIG: &str = "tokenizer_config.json";
const ADDED: &str = "added_tokens.json";

/// Names of special tokens in `tokenizer_config.json`.
const SPECIAL: [&str; 7] = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];
/// The token that ends a text, which is special in every class that is known, whether the configuration names it or not.
const END_OF_TEXT: &str = "<|endoftext|>";

/// The files of a directory as a `tokenizer.json`; none where it does not have them.
///
/// # Errors
/// When a file is damaged, or the tokenizer is of a class that is not known.
pub(super) fn tokenizer_json(directory: &Path) -> Result<Option<Value>> {
    if !is_there(&directory.join(VOCAB))? || !is_there(&directory.join(MERGES))? {
        return Ok(None);
    }
    let object = |name: &str| {
        let file = directory.join(name);
        if is_there(&file)? { read_json_object(&file) } else { Ok(Map::new()) }
    };
    let config = object(CONFIG)?;
    let class = class(&config, &object("config.json")?);
    let Some(cut) = class.as_deref().and_then(cut_of) else { return Err(unknown(directory, class)) };
    let prefixed = config.get("add_prefix_space") == Some(&Value::Bool(true));
    let cut = if prefixed { cut.with_prefix_space() } else { cut };
    let vocab = read_json_object(&directory.join(VOCAB))?;
    let added = added_tokens(&vocab, &config, &object(ADDED)?);
    Ok(Some(assemble(cut, Pieces { vocab, merges: merges(&directory.join(MERGES))?, added })))
}

/// The class of a tokenizer: the one that its configuration names, or else that of the model's type.
fn class(config: &Map<String, Value>, model: &Map<String, Value>) -> Option<String> {
    let named = config.get("tokenizer_class").and_then(Value::as_str);
    let of_model = || match model.get("model_type")?.as_str()? {
        "gpt2" => Some("GPT2Tokenizer"),
        "phi" => Some("CodeGenTokenizer"),
        "gpt_neox" => Some("GPTNeoXTokenizer"),
        "qwen2" | "qwen3" => Some("Qwen2Tokenizer"),
        _ => None,
    };
    named.or_else(of_model).map(str::to_owned)
}

/// How a class cuts a text.
fn cut_of(class: &str) -> Option<Cut> {
    match class.strip_suffix("Fast").unwrap_or(class) {
        "GPT2Tokenizer" | "CodeGenTokenizer" => cut("gpt-2"),
        "GPTNeoXTokenizer" => cut("olmo"),
        "Qwen2Tokenizer" => cut("qwen2"),
        _ => None,
    }
}

/// The pairs of a `merges.txt`, after the line that names its version.
fn merges(file: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(file).map_err(ModelError::io(file))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text); // a byte order mark
    let lines = text.lines().enumerate().filter(|(nth, line)| !(*nth == 0 && line.starts_with("#version")));
    let pair = |(nth, line): (usize, &str)| {
        let bad = || format!("line {} of {MERGES} is `{}`, which has no two parts", nth + 1, shown(line));
        two_parts(line).ok_or_else(|| ModelError::tokenizer(file, bad()))
    };
    lines.filter(|(_, line)| !line.trim().is_empty()).map(pair).collect()
}

/// Tokens that are found in a text before it is cut: those that the configuration lists, those of `added_tokens.json`, and
/// special ones of the vocabulary.
fn added_tokens(vocab: &Map<String, Value>, config: &Map<String, Value>, added: &Map<String, Value>) -> Vec<Value> {
    let special = special_tokens(config);
    let entry = |content: &str, id: &Value, token: &Value| {
        let flag = |name: &str, default: bool| token.get(name).and_then(Value::as_bool).unwrap_or(default);
        let is_special = flag("special", special.contains(content));
        json!({
            "id": id, "content": content, "special": is_special, "normalized": flag("normalized", !is_special),
            "single_word": flag("single_word", false), "lstrip": flag("lstrip", false), "rstrip": flag("rstrip", false),
        })
    };
    let mut by_id = BTreeMap::new();
    let listed = config.get("added_tokens_decoder").and_then(Value::as_object).into_iter().flatten();
    for (id, token) in listed {
        if let (Ok(id), Some(content)) = (id.parse::<u64>(), token.get("content").and_then(Value::as_str)) {
            by_id.insert(id, entry(content, &id.into(), token));
        }
    }
    let of_vocabulary = special.iter().filter_map(|content| Some((content, vocab.get(content)?)));
    for (content, id) in added.iter().chain(of_vocabulary) {
        if let Some(number) = id.as_u64() {
            by_id.entry(number).or_insert_with(|| entry(content, id, &Value::Null));
        }
    }
    by_id.into_values().collect()
}

/// The texts of special tokens: a text each, or an object with it.
fn special_tokens(config: &Map<String, Value>) -> BTreeSet<String> {
    let text = |token: &Value| token.as_str().or_else(|| token.get("content")?.as_str()).map(str::to_owned);
    let named = SPECIAL.iter().filter_map(|name| config.get(*name));
    let more = ["additional_special_tokens", "extra_special_tokens"].iter().filter_map(|name| config.get(*name));
    let more = more.filter_map(Value::as_array).flatten();
    named.chain(more).filter_map(text).chain([END_OF_TEXT.to_owned()]).collect()
}

fn unknown(directory: &Path, class: Option<String>) -> ModelError {
    let class = class.map_or_else(|| "of no class that is named".to_owned(), |class| format!("a `{}`", shown(&class)));
    let reason = format!(
        "{VOCAB} and {MERGES} are read as a GPT2Tokenizer, CodeGenTokenizer, GPTNeoXTokenizer or Qwen2Tokenizer, and this is \
         {class}; {}",
        command(directory)
    );
    ModelError::tokenizer(directory, reason)
}

/// An error for a directory without a tokenizer that is read, which says how one is made of what it has.
pub(super) fn make_one(directory: &Path) -> ModelError {
    let others = ["tokenizer.model", "spiece.model", "tekken.json", "vocab.txt", VOCAB, "vocab.bpe", CONFIG];
    match others.into_iter().find(|name| directory.join(name).is_file()) {
        Some(other) => {
            let reason = format!("it has {other} and no tokenizer.json; {}", command(directory));
            ModelError::tokenizer(directory, reason)
        }
        None => ModelError::tokenizer(directory, "it has no tokenizer.json"),
    }
}

/// What makes a `tokenizer.json`.
fn command(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "transformers makes tokenizer.json: python -c \"from transformers import AutoTokenizer as T; \
         T.from_pretrained('{directory}').save_pretrained('{directory}')\""
    )
}
