//! What a GGUF file says about its tokens, whatever their kind: [`Vocabulary`].

use serde_json::{Value, json};

use crate::files::GgufFile;
use crate::{ModelError, Result};

/// `tokenizer.ggml.token_type` of plain, unknown, control and user-defined tokens.
pub(super) const NORMAL: u32 = 1;
pub(super) const UNKNOWN: u32 = 2;
pub(super) const CONTROL: u32 = 3;
pub(super) const USER_DEFINED: u32 = 4;

/// What a GGUF file says about its tokens, whatever their kind.
pub(super) struct Vocabulary<'a> {
    pub(super) file: &'a GgufFile,
    pub(super) tokens: Vec<&'a str>,
    pub(super) types: Vec<u32>,
}

impl<'a> Vocabulary<'a> {
    pub(super) fn read(file: &'a GgufFile) -> Result<Self> {
        let tokens = file.texts("tokenizer.ggml.tokens").ok_or_else(|| lacks(file, "tokenizer.ggml.tokens"))?;
        let types = file.numbers("tokenizer.ggml.token_type");
        let types = types.ok_or_else(|| lacks(file, "tokenizer.ggml.token_type"))?;
        let vocabulary = Self { file, tokens, types };
        vocabulary.one_each("token types", vocabulary.types.len())?;
        Ok(vocabulary)
    }

    /// Refuses a list that does not have one entry for each token.
    pub(super) fn one_each(&self, what: &str, n: usize) -> Result<()> {
        if n == self.tokens.len() {
            return Ok(());
        }
        Err(self.error(format!("it has {} tokens and {n} {what}", self.tokens.len())))
    }

    /// Ids by token, with each token as `text` gives it.
    pub(super) fn ids(&self, text: impl Fn(usize) -> String) -> Result<serde_json::Map<String, Value>> {
        let ids: serde_json::Map<_, _> = (0..self.tokens.len()).map(|id| (text(id), id.into())).collect();
        if ids.len() == self.tokens.len() {
            return Ok(ids);
        }
        Err(self.error(format!("{} of its tokens occur twice", self.tokens.len() - ids.len())))
    }

    /// Tokens that are found in a text before it is cut, with each token as `text` gives it.
    pub(super) fn added_tokens(&self, text: impl Fn(usize) -> String) -> Vec<Value> {
        let kinds = [UNKNOWN, CONTROL, USER_DEFINED];
        let added = (0..self.tokens.len()).filter(|id| kinds.contains(&self.types[*id]));
        added
            .map(|id| {
                json!({
                    "id": id, "content": text(id), "special": self.types[id] != USER_DEFINED, "normalized": false,
                    "single_word": false, "lstrip": false, "rstrip": false,
                })
            })
            .collect()
    }

    pub(super) fn lacks(&self, key: &str) -> ModelError {
        lacks(self.file, key)
    }

    pub(super) fn error(&self, reason: String) -> ModelError {
        error(self.file, reason)
    }
}

pub(super) fn lacks(file: &GgufFile, key: &str) -> ModelError {
    error(file, format!("the file lacks `{key}`, or it is of another type"))
}

pub(super) fn error(file: &GgufFile, reason: String) -> ModelError {
    ModelError::tokenizer(file.path(), reason)
}
