//! The tokenizers library behind one boundary: [`Library`], whose panics on a damaged file become errors.

use tokenizers::Encoding;

use super::growth;
use crate::guarded::guarded;

/// A tokenizer of the library. A `tokenizer.json` is checked before the library reads it, and a panic of the library, there or
/// later on a text, is an error. Errors are in words, without the file's name.
#[derive(Debug, Clone)]
pub(super) struct Library {
    inner: tokenizers::Tokenizer,
}

impl Library {
    /// Reads the content of a `tokenizer.json`.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, String> {
        growth::check(&serde_json::from_slice(json).map_err(|error| error.to_string())?)?;
        let inner = call(|| {
            let mut inner = tokenizers::Tokenizer::from_bytes(json)?;
            // A file may ask for truncation or padding; a corpus has neither.
            inner.with_padding(None);
            inner.with_truncation(None)?;
            Ok(inner)
        })?;
        let library = Self { inner };
        library.check_ids(json.len())?;
        Ok(library)
    }

    /// Refuses an id that no file of `n_bytes` can have counted up to: a list with an entry for each id would not be bounded.
    fn check_ids(&self, n_bytes: usize) -> Result<(), String> {
        let vocabulary = call(|| Ok(self.inner.get_vocab(true)))?;
        match vocabulary.into_iter().max_by_key(|(_, id)| *id) {
            Some((token, id)) if id as usize >= n_bytes => {
                let token = stratigraph_core::shown(&token).to_string();
                Err(format!("its token `{token}` has the id {id}, and a file of {n_bytes} bytes has fewer tokens"))
            }
            _ => Ok(()),
        }
    }

    /// Token ids without special tokens that the text does not contain.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<u32>, String> {
        call(|| Ok(self.inner.encode_fast(text, false)?.get_ids().to_vec()))
    }

    /// Token ids and the bytes that they stand for.
    pub(super) fn encoding(&self, text: &str) -> Result<Encoding, String> {
        call(|| self.inner.encode(text, false))
    }

    /// The text of ids, special tokens included.
    pub(super) fn decode(&self, ids: &[u32]) -> Result<String, String> {
        call(|| self.inner.decode(ids, false))
    }

    /// The largest id of a token; ids may have gaps. None without a token.
    pub(super) fn last_id(&self) -> Option<u32> {
        self.inner.get_vocab(true).into_values().max()
    }

    /// Whether an id is that of a token.
    pub(super) fn has(&self, id: u32) -> bool {
        self.text(id).is_some()
    }

    /// The text of a token as the vocabulary has it.
    pub(super) fn text(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token by its text.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// How many tokens there are, added ones included.
    pub(super) fn n_tokens(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The ids of special tokens, in order.
    pub(super) fn special_tokens(&self) -> Vec<u32> {
        let added = self.inner.get_added_tokens_decoder();
        let mut ids: Vec<u32> = added.into_iter().filter(|(_, token)| token.special).map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
    }
}

/// Calls the library.
fn call<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match guarded(run) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("the tokenizers library gave up on it: {panic}")),
    }
}
