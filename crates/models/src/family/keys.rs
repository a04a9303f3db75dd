//! A configuration that remembers which of its keys were read: [`Keys`].

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{ModelError, Result};

/// Keys of a Hugging Face `config.json` that do not change what the model computes.
pub(super) const HF_WITHOUT_EFFECT: [&str; 19] = [
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "auto_map",
    "bos_token_id",
    "chunk_size_feed_forward",
    "dtype",
    "eos_token_id",
    "id2label",
    "initializer_range",
    "label2id",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "use_cache",
];

/// A configuration object; a key that is `null` counts as absent.
pub(crate) struct Keys {
    values: Map<String, Value>,
    read: BTreeSet<String>,
}

impl Keys {
    pub(crate) fn new(values: Map<String, Value>) -> Self {
        Self { values, read: BTreeSet::new() }
    }

    fn get(&mut self, key: &str) -> Option<&Value> {
        self.read.insert(key.to_owned());
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// Reads a key with `convert`; a value it refuses is an error that says what was `expected`.
    fn read<T>(&mut self, key: &str, expected: &str, convert: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match convert(value) {
            Some(converted) => Ok(Some(converted)),
            None => Err(unsupported(key, value, expected)),
        }
    }

    pub(crate) fn size_or_none(&mut self, key: &str) -> Result<Option<usize>> {
        self.read(key, "it must be a whole number", |value| usize::try_from(value.as_u64()?).ok())
    }

    pub(crate) fn size(&mut self, key: &str) -> Result<usize> {
        self.size_or_none(key)?.ok_or_else(|| missing(key))
    }

    pub(crate) fn number_or_none(&mut self, key: &str) -> Result<Option<f64>> {
        self.read(key, "it must be a number", Value::as_f64)
    }

    pub(crate) fn number(&mut self, key: &str) -> Result<f64> {
        self.number_or_none(key)?.ok_or_else(|| missing(key))
    }

    pub(crate) fn flag_or(&mut self, key: &str, default: bool) -> Result<bool> {
        Ok(self.read(key, "it must be true or false", Value::as_bool)?.unwrap_or(default))
    }

    pub(crate) fn text_or_none(&mut self, key: &str) -> Result<Option<String>> {
        self.read(key, "it must be a text", |value| value.as_str().map(str::to_owned))
    }

    pub(crate) fn text(&mut self, key: &str) -> Result<String> {
        self.text_or_none(key)?.ok_or_else(|| missing(key))
    }

    /// An object inside the configuration, as keys of its own; the caller answers for those it leaves unread.
    pub(crate) fn object_or_none(&mut self, key: &str) -> Result<Option<Keys>> {
        self.read(key, "it must be an object", |value| value.as_object().cloned().map(Keys::new))
    }

    /// Reads a key that may only have one value, or be absent.
    pub(crate) fn only(&mut self, key: &str, accepted: impl Into<Value>) -> Result<()> {
        let accepted = accepted.into();
        match self.get(key) {
            Some(value) if *value != accepted => Err(unsupported(key, value, &format!("only {accepted} is"))),
            _ => Ok(()),
        }
    }

    /// The keys that nobody read and that are not among `without_effect`.
    pub(crate) fn unread(&self, without_effect: &[&str]) -> Vec<String> {
        let known = |key: &String| self.read.contains(key) || without_effect.contains(&key.as_str());
        self.values.keys().filter(|key| !known(key)).cloned().collect()
    }
}

pub(super) fn missing(key: &str) -> ModelError {
    ModelError::MissingKey { key: key.to_owned() }
}

pub(super) fn unsupported(key: &str, value: impl ToString, reason: &str) -> ModelError {
    ModelError::UnsupportedValue { key: key.to_owned(), value: value.to_string(), reason: reason.to_owned() }
}
