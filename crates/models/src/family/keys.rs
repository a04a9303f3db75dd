//! A configuration that remembers which of its keys were read: [`Keys`].

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::key_classes::{self, Format};
use crate::{ModelError, Result};

/// A configuration object that remembers which keys were read; a key that is `null` counts as absent. A key that is not
/// read, and whose name concerns the computation, is refused when the family has read the others.
#[derive(Debug)]
pub struct Keys {
    values: Map<String, Value>,
    read: BTreeSet<String>,
}

impl Keys {
    pub(crate) fn new(values: Map<String, Value>) -> Self {
        Self { values, read: BTreeSet::new() }
    }

    /// Gives a key the value that it has where it is absent.
    pub(super) fn default(&mut self, key: &str, value: impl Into<Value>) {
        self.values.entry(key).or_insert_with(|| value.into());
    }

    /// Gives a key this value where it is absent or `null`.
    pub(super) fn default_for_null(&mut self, key: &str, value: impl Into<Value>) {
        if self.get(key).is_none() {
            self.values.insert(key.to_owned(), value.into());
        }
    }

    /// Takes keys out of an object inside the configuration that a family has read itself.
    pub(super) fn without_in(&mut self, object: &str, keys: &[&str]) {
        if let Some(values) = self.values.get_mut(object).and_then(Value::as_object_mut) {
            values.retain(|key, _| !keys.contains(&key.as_str()));
        }
    }

    /// Marks keys that transformers keeps and does not compute with.
    pub fn dead(&mut self, keys: &[&str]) {
        self.read.extend(keys.iter().map(|key| (*key).to_owned()));
    }

    /// Whether the key is there, even as `null`.
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Refuses the absence of a key that means something else than `null`.
    ///
    /// # Errors
    /// When the key is absent.
    pub fn required(&self, key: &str) -> Result<()> {
        if self.has(key) { Ok(()) } else { Err(missing(key)) }
    }

    pub(super) fn get(&mut self, key: &str) -> Option<&Value> {
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

    /// A whole number, or none where the key is absent.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn size_or_none(&mut self, key: &str) -> Result<Option<usize>> {
        self.read(key, "it must be a whole number", |value| usize::try_from(value.as_u64()?).ok())
    }

    /// A whole number.
    ///
    /// # Errors
    /// When the key is absent or the value is something else.
    pub fn size(&mut self, key: &str) -> Result<usize> {
        self.size_or_none(key)?.ok_or_else(|| missing(key))
    }

    /// A number, or none where the key is absent.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn number_or_none(&mut self, key: &str) -> Result<Option<f64>> {
        self.read(key, "it must be a number", Value::as_f64)
    }

    /// A number.
    ///
    /// # Errors
    /// When the key is absent or the value is something else.
    pub fn number(&mut self, key: &str) -> Result<f64> {
        self.number_or_none(key)?.ok_or_else(|| missing(key))
    }

    /// A switch, or `default` where the key is absent.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn flag_or(&mut self, key: &str, default: bool) -> Result<bool> {
        Ok(self.read(key, "it must be true or false", Value::as_bool)?.unwrap_or(default))
    }

    /// A text, or none where the key is absent.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn text_or_none(&mut self, key: &str) -> Result<Option<String>> {
        self.read(key, "it must be a text", |value| value.as_str().map(str::to_owned))
    }

    /// A text.
    ///
    /// # Errors
    /// When the key is absent or the value is something else.
    pub fn text(&mut self, key: &str) -> Result<String> {
        self.text_or_none(key)?.ok_or_else(|| missing(key))
    }

    /// A list of texts, or none where the key is absent.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn texts_or_none(&mut self, key: &str) -> Result<Option<Vec<String>>> {
        self.read(key, "it must be a list of texts", |value| {
            value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
        })
    }

    /// A list of numbers, or none where the key is absent.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn numbers_or_none(&mut self, key: &str) -> Result<Option<Vec<f64>>> {
        self.read(key, "it must be a list of numbers", |value| value.as_array()?.iter().map(Value::as_f64).collect())
    }

    /// A list of whole numbers, or none where the key is absent.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn sizes_or_none(&mut self, key: &str) -> Result<Option<Vec<usize>>> {
        let size = |value: &Value| usize::try_from(value.as_u64()?).ok();
        self.read(key, "it must be a list of whole numbers", |value| value.as_array()?.iter().map(size).collect())
    }

    /// The first of several names of a size that is there.
    pub(super) fn size_of(&mut self, names: &[&str]) -> Result<usize> {
        for name in names {
            if let Some(size) = self.size_or_none(name)? {
                self.dead(names);
                return Ok(size);
            }
        }
        Err(missing(names[0]))
    }

    /// A number whose key has a `default` where it is absent, and which is off where it is `null`.
    pub(super) fn number_unless_null(&mut self, key: &str, default: f64) -> Result<Option<f64>> {
        if self.has(key) { self.number_or_none(key) } else { Ok(Some(default)) }
    }

    /// An object inside the configuration, as keys of its own; the caller is responsible for keys that it leaves
    /// unread.
    ///
    /// # Errors
    /// When it has another value.
    pub fn object_or_none(&mut self, key: &str) -> Result<Option<Keys>> {
        self.read(key, "it must be an object", |value| value.as_object().cloned().map(Keys::new))
    }

    /// Reads a key that may only have one value, or be absent.
    ///
    /// # Errors
    /// When it has another value.
    pub fn only(&mut self, key: &str, accepted: impl Into<Value>) -> Result<()> {
        let accepted = accepted.into();
        match self.get(key) {
            Some(value) if *value != accepted => Err(unsupported(key, value, &format!("only {accepted} is"))),
            _ => Ok(()),
        }
    }

    /// Reads a key that may not be set.
    ///
    /// # Errors
    /// When it has another value.
    pub fn absent(&mut self, key: &str) -> Result<()> {
        match self.get(key) {
            Some(value) => Err(unsupported(key, value, "only null is")),
            None => Ok(()),
        }
    }

    /// Refuses keys of all families whose value changes the computation in a way that is not supported, and unread keys whose
    /// names concern the computation.
    pub(super) fn refuse_what_matters(&mut self, format: Format, prefix: &str) -> Result<()> {
        if format == Format::HuggingFace {
            for (key, neutral) in key_classes::neutral() {
                self.only(key, neutral)?;
            }
        }
        let on = |key: &String| !is_off(&self.values[key]);
        for key in self.unread(format).into_iter().filter(on) {
            let value = &self.values[&key];
            if key == "quantization_config" {
                let method = value.get("quant_method").unwrap_or(&Value::Null);
                return Err(unsupported(&format!("{prefix}{key}.quant_method"), method, QUANTISED));
            }
            if key_classes::matters(&key) {
                let reason = "the key is not known and may change what the model computes";
                return Err(unsupported(&format!("{prefix}{key}"), value, reason));
            }
        }
        Ok(())
    }

    /// The unread keys that may have an effect.
    pub(crate) fn unread(&self, format: Format) -> Vec<String> {
        let known = |key: &str| self.read.contains(key) || key_classes::is_without_effect(key, format);
        let unread = self.values.iter().filter(|(key, value)| !value.is_null() && !known(key));
        unread.map(|(key, _)| key.clone()).collect()
    }

    /// Whether there are no keys at all.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The keys that were not read.
    pub(super) fn left(&self) -> impl Iterator<Item = &String> {
        self.values.keys().filter(|key| !self.read.contains(*key))
    }
}

const QUANTISED: &str = "weights must not be quantised, but for gpt-oss in MXFP4; load the model with transformers, and save what \
    `model.dequantize()` gives";

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
