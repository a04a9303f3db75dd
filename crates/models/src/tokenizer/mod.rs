//! Text to token ids and back: [`Tokenizer`].

mod beside;
mod bos;
mod byte_level;
mod cuts;
mod gguf;
mod growth;
mod library;
mod sentence_piece;
mod texts;
mod vocab_merges;
mod vocabulary;

use std::error::Error;
use std::io::Read;
use std::path::{Path, PathBuf};

use stratigraph_core::{TokenSpan, TokenWindows};
use stratigraph_corpus::{BosMode, BosToken, TextDecoder, TextEncoder, encode_reader};

use self::library::Library;
use crate::directory::is_there;
use crate::files::{GgufFile, MappedFile};
use crate::{ModelError, Result};

/// A model's tokenizer, from its `tokenizer.json` or from its GGUF file.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    library: Library,
    path: PathBuf,
    bos: BosToken,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`, or the vocabulary of a GGUF file.
    ///
    /// A GGUF's vocabulary is byte-level BPE or SentencePiece's BPE; its ids are those of the `tokenizer.json` it was made
    /// from. Where it is of another kind, a `tokenizer.json` beside the file that has the same tokens is read.
    ///
    /// # Errors
    /// When the file is absent or not understood.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_file() && GgufFile::is_gguf(path)? {
            return Self::from_gguf(&GgufFile::open(path)?);
        }
        let json = MappedFile::open(path)?.whole()?;
        let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&json); // a byte order mark
        Self::from_json_in_directory(json, path)
    }

    /// The tokenizer of a Hugging Face directory: its `tokenizer.json`, or `vocab.json` and `merges.txt` of a kind that is known.
    ///
    /// # Errors
    /// When there is none of these, or it is not understood; the error says how a `tokenizer.json` is made.
    pub(crate) fn from_directory(directory: &Path) -> Result<Self> {
        let file = directory.join("tokenizer.json");
        if is_there(&file)? {
            return Self::from_file(file);
        }
        match vocab_merges::tokenizer_json(directory)? {
            Some(json) => {
                let path = directory.join(vocab_merges::VOCAB);
                Self::from_json_in_directory(json.to_string().as_bytes(), &path)
            }
            None => Err(vocab_merges::make_one(directory)),
        }
    }

    /// A tokenizer beside whose file there may be a configuration that says what begins a text.
    fn from_json_in_directory(json: &[u8], path: &Path) -> Result<Self> {
        let tokenizer = Self::from_json(json, path)?;
        Ok(Self { bos: bos::of_directory(&tokenizer.library, json, path)?, ..tokenizer })
    }

    /// Builds the tokenizer whose vocabulary a GGUF file holds; where that is of a kind that is not read, and the model's
    /// `tokenizer.json` is beside it, the latter.
    pub(crate) fn from_gguf(file: &GgufFile) -> Result<Self> {
        let bos = bos::of_gguf(file);
        match gguf::tokenizer_json(file) {
            Ok(json) => Ok(Self { bos, ..Self::from_json(json.to_string().as_bytes(), file.path())? }),
            Err(error) => match beside::of_gguf(file) {
                Ok(Some((library, path))) => Ok(Self { library, path, bos }),
                Ok(None) => Err(error),
                Err(other) => Err(beside::both(error, other)),
            },
        }
    }

    fn from_json(json: &[u8], path: &Path) -> Result<Self> {
        let library = Library::from_json(json).map_err(|reason| ModelError::tokenizer(path, reason))?;
        Ok(Self { library, path: path.to_owned(), bos: BosToken::default() })
    }

    /// An error of the library, with the file that the tokenizer is from.
    fn failed(&self) -> impl Fn(String) -> ModelError {
        |reason| ModelError::tokenizer(&self.path, reason)
    }

    /// The token ids of `text`, without adding special tokens; special tokens that the text contains keep their ids.
    ///
    /// # Errors
    /// When the tokenizer cannot encode the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.library.ids(text).map_err(self.failed())
    }

    /// As [`encode`](Tokenizer::encode), with the bytes of `text` that each token stands for. Tokenizers differ in whether
    /// the bytes of a word's token include the white space before it.
    ///
    /// # Errors
    /// When the tokenizer cannot encode the text.
    pub fn encode_with_offsets(&self, text: &str) -> Result<Vec<TokenSpan>> {
        let encoding = self.library.encoding(text).map_err(self.failed())?;
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        Ok(tokens.map(|(&id, &(start, end))| TokenSpan::new(id, start..end)).collect())
    }

    /// The first `at_most` token ids of a text, or all of them where there are fewer. The text is read only as far as
    /// needed. The ids are those of the whole text, which is never in memory at once: memory grows with the ids alone.
    ///
    /// # Errors
    /// When the text cannot be read, is not UTF-8 as far as it is read, or the tokenizer cannot encode it.
    pub fn encode_reader(&self, reader: impl Read, at_most: usize) -> Result<Vec<u32>> {
        Ok(encode_reader(self, reader, "the text", at_most)?)
    }

    /// The first `n` windows of `seq_len` tokens of a text, or all of them where there are fewer; the text is read only
    /// as far as needed.
    ///
    /// # Errors
    /// As [`encode_reader`](Tokenizer::encode_reader); when a window is shorter than two tokens, or the text shorter than
    /// one window.
    pub fn windows(&self, reader: impl Read, seq_len: usize, n: usize) -> Result<TokenWindows> {
        let ids = self.encode_reader(reader, n.max(1).saturating_mul(seq_len))?;
        Ok(TokenWindows::new(&ids, seq_len)?.take(n))
    }

    /// One window of all tokens of `text`, after BOS where the model was trained on texts that begin with it, as windows of a
    /// corpus are by default.
    ///
    /// # Errors
    /// When the prompt has fewer than two tokens, or the tokenizer cannot encode it.
    pub fn prompt(&self, text: &str) -> Result<TokenWindows> {
        self.prompt_with(text, BosMode::Auto)
    }

    /// As [`prompt`](Tokenizer::prompt), with or without BOS.
    ///
    /// # Errors
    /// As [`prompt`](Tokenizer::prompt); when it always begins with BOS, and the tokenizer knows none.
    pub fn prompt_with(&self, text: &str, bos: BosMode) -> Result<TokenWindows> {
        let bos = bos.token(self.bos)?;
        let ids: Vec<u32> = bos.into_iter().chain(self.encode(text)?).collect();
        if ids.len() < 2 {
            return Err(ModelError::PromptTooShort { text: text.to_owned(), n_tokens: ids.len() });
        }
        let prompt = TokenWindows::new(&ids, ids.len())?;
        Ok(bos.into_iter().try_fold(prompt, TokenWindows::with_bos)?)
    }

    /// The id of `text`, which must be a single token, alone or after a letter. A token that begins a word is written
    /// with the space before it, as in `" Paris"`.
    ///
    /// # Errors
    /// When it is not exactly one token, or the tokenizer cannot encode it.
    pub fn token(&self, text: &str) -> Result<u32> {
        let ids = self.encode(text)?;
        if let [id] = ids[..] {
            return Ok(id);
        }
        // SentencePiece writes a space before a text, so that a word with its own space is one token in a text only.
        let (letter, both) = (self.encode("a")?, self.encode(&format!("a{text}"))?);
        if let Some(&[id]) = both.strip_prefix(&letter[..]) {
            return Ok(id);
        }
        let tokens = ids.iter().map(|id| self.decode(&[*id])).collect::<Result<Vec<_>>>()?;
        Err(ModelError::NotOneToken { text: text.to_owned(), tokens })
    }

    /// The ids of special tokens, such as the one that begins a text, in order.
    pub fn special_tokens(&self) -> Vec<u32> {
        self.library.special_tokens()
    }

    /// The text of token ids, special tokens included.
    ///
    /// # Errors
    /// When the tokenizer cannot decode them.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.library.decode(ids).map_err(self.failed())
    }

    /// The token that begins a text, and whether the model was trained on texts that begin with it: as `tokenizer_config.json`
    /// or the tokenizer's post-processor say, or the GGUF file.
    pub fn bos(&self) -> BosToken {
        self.bos
    }

    /// How many tokens there are, added ones included.
    pub fn n_tokens(&self) -> usize {
        self.library.n_tokens()
    }
}

impl TextEncoder for Tokenizer {
    fn encode_spans(&self, text: &str) -> std::result::Result<Vec<TokenSpan>, Box<dyn Error + Send + Sync>> {
        Ok(self.encode_with_offsets(text)?)
    }

    fn encode_ids(&self, text: &str) -> std::result::Result<Vec<u32>, Box<dyn Error + Send + Sync>> {
        Ok(self.encode(text)?)
    }

    fn bos(&self) -> BosToken {
        self.bos
    }
}

impl TextDecoder for Tokenizer {
    fn decode_ids(&self, ids: &[u32]) -> std::result::Result<String, Box<dyn Error + Send + Sync>> {
        Ok(self.decode(ids)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer(kind: &str) -> Tokenizer {
        let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tokenizers");
        Tokenizer::from_file(fixtures.join(kind).join("tokenizer.json")).unwrap()
    }

    #[test]
    fn a_prompt_is_one_window_of_all_its_tokens() {
        for kind in ["gpt-2", "llama-spm"] {
            let tokenizer = tokenizer(kind);
            let prompt = tokenizer.prompt_with("one two, three", BosMode::Never).unwrap();
            let ids = tokenizer.encode("one two, three").unwrap();
            assert_eq!((prompt.n_sequences(), prompt.ids(), prompt.bos()), (1, &ids[..], None));
            let message = tokenizer.prompt_with("", BosMode::Never).unwrap_err().to_string();
            assert_eq!(message, "the prompt \"\" has 0 tokens; it takes at least 2");
        }
    }

    #[test]
    fn a_prompt_begins_as_the_texts_that_the_model_was_trained_on() {
        for (kind, bos) in [("gpt-2", None), ("llama-bpe", Some(128_000)), ("gemma-spm", Some(2))] {
            let tokenizer = Tokenizer { bos: BosToken::new(bos, bos.is_some()), ..tokenizer(kind) };
            let ids = tokenizer.encode("one two").unwrap();
            let with_bos: Vec<u32> = bos.into_iter().chain(ids.iter().copied()).collect();
            let prompt = tokenizer.prompt("one two").unwrap();
            assert_eq!((prompt.ids(), prompt.bos()), (&with_bos[..], bos), "{kind}");
            assert_eq!(tokenizer.prompt_with("one two", BosMode::Never).unwrap().ids(), ids, "{kind}");
            let always = tokenizer.prompt_with("one two", BosMode::Always);
            assert!(bos.map_or(always.is_err(), |_| always.unwrap() == prompt), "{kind}");
        }
    }

    #[test]
    fn every_word_that_is_one_token_is_found_by_its_text() {
        for kind in ["gpt-2", "llama-spm", "gemma-spm", "llama-bpe", "qwen2"] {
            let tokenizer = tokenizer(kind);
            let texts = tokenizer.token_texts().unwrap();
            let is_word = |text: &str| {
                text.strip_prefix(' ')
                    .is_some_and(|word| word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase()))
            };
            let words: Vec<_> = texts.iter().enumerate().filter(|(_, text)| is_word(text)).collect();
            assert!(words.len() > 10, "{kind}");
            for (id, text) in words {
                assert_eq!(tokenizer.token(text).unwrap() as usize, id, "{kind} {text:?}");
            }
        }
    }

    #[test]
    fn a_text_of_several_tokens_is_refused_with_their_texts() {
        let tokenizer = tokenizer("gpt-2");
        let Err(ModelError::NotOneToken { tokens, .. }) = tokenizer.token("one, two; three") else {
            panic!("one token")
        };
        assert_eq!(tokens.concat(), "one, two; three");
        assert!(tokens.len() > 2);
        assert!(tokenizer.token("").unwrap_err().to_string().contains("is 0 tokens, not one"));
    }
}
