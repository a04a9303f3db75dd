//! A configuration that remembers which of its keys were read: [`Keys`].

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{ModelError, Result};

/// Keys of a Hugging Face `config.json` that do not change what the model computes over a text.
pub(super) const HF_WITHOUT_EFFECT: [&str; 46] = [
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "_name_or_path",
    "_sliding_window_pattern",
    "architectures",
    "attention_dropout",
    "attn_implementation",
    "attn_pdrop",
    "auto_map",
    "bos_token_id",
    "cache_implementation",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "decoder_start_token_id",
    "dtype",
    "embd_pdrop",
    "eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout",
    "id2label",
    "initializer_range",
    "is_decoder",
    "label2id",
    "max_length",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "problem_type",
    "reorder_and_upcast_attn",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "task_specific_params",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "use_cache",
    "use_return_dict",
];

/// The same of a GGUF's metadata.
pub(super) const GGUF_WITHOUT_EFFECT: [&str; 2] = ["rope.scaling.finetuned", "tensor_data_layout"];

/// Parts of names that concern the computation: ignoring an unknown key with one of them, unless it is switched off,
/// could change numbers silently.
const MATTERS: [&str; 30] = [
    "act",
    "alibi",
    "attention",
    "attn",
    "bias",
    "block",
    "cap",
    "cross",
    "dim",
    "embed",
    "encoder",
    "expert",
    "head",
    "hidden",
    "inner",
    "layer",
    "mask",
    "mlp",
    "moe",
    "multiplier",
    "norm",
    "parallel",
    "position",
    "quant",
    "residual",
    "rope",
    "rotary",
    "scal",
    "size",
    "window",
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

    /// Whether the key is there, even as `null`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
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

    pub(crate) fn texts_or_none(&mut self, key: &str) -> Result<Option<Vec<String>>> {
        self.read(key, "it must be a list of texts", |value| {
            value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
        })
    }

    /// An object inside the configuration, as keys of its own; the caller is responsible for keys that it leaves
    /// unread.
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

    /// Reads a key that may not be set.
    pub(crate) fn absent(&mut self, key: &str) -> Result<()> {
        match self.get(key) {
            Some(value) => Err(unsupported(key, value, "only null is")),
            None => Ok(()),
        }
    }

    /// Refuses unread keys that are not among `without_effect` and whose names concern the computation.
    pub(super) fn refuse_unread_that_matter(&self, without_effect: &[&str], prefix: &str) -> Result<()> {
        for key in self.unread(without_effect) {
            let lower = key.to_lowercase();
            if MATTERS.iter().any(|part| lower.contains(part)) && !is_off(&self.values[&key]) {
                let reason = "the key is not known and may change what the model computes";
                return Err(unsupported(&format!("{prefix}{key}"), &self.values[&key], reason));
            }
        }
        Ok(())
    }

    /// The unread keys that are not among `without_effect`.
    pub(crate) fn unread(&self, without_effect: &[&str]) -> Vec<String> {
        let known = |key: &String| self.read.contains(key) || without_effect.contains(&key.as_str());
        self.values.keys().filter(|key| !known(key)).cloned().collect()
    }
}

/// Whether a value switches something off.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
        _ => false,
    }
}

pub(super) fn missing(key: &str) -> ModelError {
    ModelError::MissingKey { key: key.to_owned() }
}

pub(super) fn unsupported(key: &str, value: impl ToString, reason: &str) -> ModelError {
    ModelError::UnsupportedValue { key: key.to_owned(), value: value.to_string(), reason: reason.to_owned() }
}
