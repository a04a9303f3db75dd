//! Text to token ids and back: [`Tokenizer`].

mod byte_level;
mod gguf;
mod sentence_piece;
mod vocabulary;

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::checkpoint::GgufFile;
use crate::{ModelError, Result};

/// A model's tokenizer, from its `tokenizer.json` or from its GGUF file.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, or the vocabulary of a GGUF file.
    ///
    /// A GGUF's vocabulary is byte-level BPE or SentencePiece's BPE; its ids are those of the `tokenizer.json` it was made
    /// from.
    ///
    /// # Errors
    /// When the file is absent or not understood.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_file() && GgufFile::is_gguf(path)? {
            return Self::from_gguf(&GgufFile::open(path)?);
        }
        let json = std::fs::read(path).map_err(ModelError::io(path))?;
        Self::from_json(&json, path)
    }

    /// Builds the tokenizer whose vocabulary a GGUF file holds.
    pub(crate) fn from_gguf(file: &GgufFile) -> Result<Self> {
        Self::from_json(gguf::tokenizer_json(file)?.to_string().as_bytes(), file.path())
    }

    fn from_json(json: &[u8], path: &Path) -> Result<Self> {
        let inner = tokenizers::Tokenizer::from_bytes(json).map_err(|e| ModelError::tokenizer(path, e))?;
        let mut tokenizer = Self { inner, path: path.to_owned() };
        // A file may ask for texts to be cut or filled up; a corpus is neither.
        tokenizer.inner.with_padding(None);
        tokenizer.inner.with_truncation(None).map_err(|e| ModelError::tokenizer(path, e))?;
        Ok(tokenizer)
    }

    /// The token ids of `text`, without adding special tokens; one that stands in the text keeps its id.
    ///
    /// # Errors
    /// When the tokenizer cannot encode the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, false).map_err(|e| ModelError::tokenizer(&self.path, e))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// As [`encode`](Tokenizer::encode), with the bytes of `text` that each token stands for; whether white space before a
    /// word belongs to its token, tokenizers see differently.
    ///
    /// # Errors
    /// When the tokenizer cannot encode the text.
    pub fn encode_with_offsets(&self, text: &str) -> Result<Vec<(u32, Range<usize>)>> {
        let encoding = self.inner.encode(text, false).map_err(|e| ModelError::tokenizer(&self.path, e))?;
        let offsets = encoding.get_offsets().iter().map(|&(start, end)| start..end);
        Ok(encoding.get_ids().iter().copied().zip(offsets).collect())
    }

    /// The text of every token as it stands behind a letter, so that a token which begins a word shows the space before it.
    /// A token that is only a part of a character shows U+FFFD.
    ///
    /// # Errors
    /// When the tokenizer cannot decode a token.
    pub fn token_texts(&self) -> Result<Vec<String>> {
        let Some(&letter) = self.encode("a")?.last() else { return Ok(Vec::new()) };
        let alone = self.decode(&[letter])?;
        let text = |id: u32| {
            let both = self.decode(&[letter, id])?;
            Ok(both.strip_prefix(&alone).map_or_else(|| both.clone(), str::to_owned))
        };
        let last = self.inner.get_vocab(true).into_values().max().unwrap_or(0); // ids may have gaps
        (0..=last).map(text).collect()
    }

    /// The text of token ids, special tokens included.
    ///
    /// # Errors
    /// When the tokenizer cannot decode them.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, false).map_err(|e| ModelError::tokenizer(&self.path, e))
    }

    /// How many tokens there are, added ones included.
    pub fn n_tokens(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}
