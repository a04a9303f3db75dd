//! Token ids of a text that is read only as far as it is needed: [`encode`].
//!
//! A text is encoded in overlapping chunks. Where the encodings of two neighbours agree on all tokens around the middle
//! of their overlap, the ids change over from the first to the second; otherwise the chunk grows until they agree. The
//! ids are therefore those of the whole text, and the tokenizer, which may take quadratic time, never gets a long text
//! at once.

use std::io::Read;
use std::str::Utf8Error;

use super::Tokenizer;
use crate::{ModelError, Result};

/// Sizes of chunks in bytes.
#[derive(Clone, Copy)]
pub(super) struct Chunks {
    /// Bytes that are read at once.
    pub(super) chunk: usize,
    /// Bytes that two chunks share.
    pub(super) overlap: usize,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { chunk: 64 << 10, overlap: 4 << 10 }
    }
}

/// A token, and where its text begins in the chunk.
type At = (usize, u32);

/// The first `at_most` ids of a text, or all of them where there are fewer.
pub(super) fn encode(tokenizer: &Tokenizer, reader: impl Read, at_most: usize, sizes: Chunks) -> Result<Vec<u32>> {
    let mut reader = Utf8Reader { reader, waiting: Vec::new(), n_read: 0, ended: false };
    let mut text = reader.read(sizes.chunk)?;
    if reader.ended {
        return Ok(shortened(tokenizer.encode(&text)?, at_most));
    }
    let mut tokens = encode_chunk(tokenizer, &text)?;
    let (mut ids, mut from, mut more) = (Vec::new(), 0, sizes.chunk);
    while !reader.ended && ids.len() < at_most {
        let shared = text.floor_char_boundary(text.len().saturating_sub(sizes.overlap));
        let new = reader.read(more)?;
        let next = format!("{}{new}", &text[shared..]);
        let next_tokens = encode_chunk(tokenizer, &next)?;
        match seam(&tokens, &next_tokens, shared, sizes.overlap) {
            Some(at) => {
                ids.extend(tokens.iter().filter(|(start, _)| (from..at).contains(start)).map(|(_, id)| *id));
                (text, tokens, from, more) = (next, next_tokens, at - shared, sizes.chunk);
            }
            None => {
                text.push_str(&new);
                tokens = encode_chunk(tokenizer, &text)?;
                more = text.len();
            }
        }
    }
    if reader.ended {
        ids.extend(tokens.iter().filter(|(start, _)| *start >= from).map(|(_, id)| *id));
    }
    Ok(shortened(ids, at_most))
}

fn shortened(mut ids: Vec<u32>, at_most: usize) -> Vec<u32> {
    ids.truncate(at_most);
    ids
}

fn encode_chunk(tokenizer: &Tokenizer, text: &str) -> Result<Vec<At>> {
    let tokens = tokenizer.encode_with_offsets(text)?;
    Ok(tokens.into_iter().map(|token| (token.bytes.start, token.id)).collect())
}

/// The byte at which the ids change over from a chunk to the next, which begins at its byte `shared`: at a token in the
/// middle of the overlap, if both have the same tokens over half of it. `None` if they do not.
fn seam(tokens: &[At], next: &[At], shared: usize, overlap: usize) -> Option<usize> {
    let middle = overlap / 4..overlap * 3 / 4;
    let inside = |tokens: &[At], begin: usize| -> Vec<At> {
        let from_begin = tokens.iter().filter_map(|(start, id)| Some((start.checked_sub(begin)?, *id)));
        from_begin.filter(|(start, _)| middle.contains(start)).collect()
    };
    let (before, after) = (inside(tokens, shared), inside(next, 0));
    let (at, _) = before.get(before.len() / 2).filter(|_| before == after)?;
    Some(shared + at)
}

/// Reads whole characters.
struct Utf8Reader<R> {
    reader: R,
    /// The beginning of a character whose end is not read yet.
    waiting: Vec<u8>,
    /// Bytes that have been handed out.
    n_read: usize,
    ended: bool,
}

impl<R: Read> Utf8Reader<R> {
    /// About `n` more bytes of text; fewer only at its end.
    fn read(&mut self, n: usize) -> Result<String> {
        let mut bytes = std::mem::take(&mut self.waiting);
        let wanted = n + bytes.len();
        (&mut self.reader)
            .take(n as u64)
            .read_to_end(&mut bytes)
            .map_err(|reason| ModelError::UnreadableText { reason })?;
        self.ended = bytes.len() < wanted;
        let whole = match std::str::from_utf8(&bytes) {
            Ok(_) => bytes.len(),
            Err(error) => self.whole_characters(error)?,
        };
        self.waiting = bytes.split_off(whole);
        self.n_read += whole;
        Ok(String::from_utf8(bytes).expect("it was checked"))
    }

    /// The length of the valid prefix, if only the last character is incomplete.
    fn whole_characters(&self, error: Utf8Error) -> Result<usize> {
        match error.error_len() {
            None if !self.ended => Ok(error.valid_up_to()),
            _ => Err(ModelError::NotUtf8 { offset: self.n_read + error.valid_up_to() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const KINDS: [&str; 9] =
        ["gemma-spm", "gpt-2", "llama-bpe", "llama-spm", "olmo", "phi-2", "qwen2", "smollm", "tekken"];

    fn fixtures() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tokenizers")
    }

    fn tokenizer(kind: &str) -> Tokenizer {
        Tokenizer::from_file(fixtures().join(kind).join("tokenizer.json")).unwrap()
    }

    /// All texts of the fixtures, again and again, then runs of one kind of character that no tokenizer cuts early.
    fn text(n_bytes: usize) -> String {
        let texts = std::fs::read(fixtures().join("texts.json")).unwrap();
        let texts: Vec<String> = serde_json::from_slice(&texts).unwrap();
        let mut text = String::new();
        for (index, part) in texts.iter().cycle().enumerate() {
            if text.len() > n_bytes {
                break;
            }
            text.push_str(part);
            text.push_str(["\n", " ", "", "\n\n  "][index % 4]);
        }
        text + &"a".repeat(3000) + &" ".repeat(3000) + &"日本".repeat(800) + "\r\n end"
    }

    #[test]
    fn ids_are_those_of_the_whole_text() {
        let small = Chunks { chunk: 700, overlap: 240 };
        for kind in KINDS {
            let tokenizer = tokenizer(kind);
            for (text, sizes) in [(text(20_000), small), (text(150_000), Chunks::default())] {
                let whole = tokenizer.encode(&text).unwrap();
                for at_most in [0, 100, whole.len() - 1, usize::MAX] {
                    let found = encode(&tokenizer, text.as_bytes(), at_most, sizes).unwrap();
                    assert_eq!(found, whole[..at_most.min(whole.len())], "{kind} {at_most}");
                }
            }
        }
    }

    /// Counts what is read of a text without an end.
    struct Endless(usize);

    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            into.iter_mut().enumerate().for_each(|(at, byte)| *byte = b"one two three. "[(self.0 + at) % 15]);
            self.0 += into.len();
            Ok(into.len())
        }
    }

    #[test]
    fn a_text_is_read_as_far_as_it_is_needed() {
        for kind in KINDS {
            let (mut endless, tokenizer) = (Endless(0), tokenizer(kind));
            let windows = tokenizer.windows(&mut endless, 16, 2).unwrap();
            assert_eq!((windows.n_sequences(), windows.seq_len()), (2, 16));
            assert!(endless.0 <= 1 << 20, "{kind}: {} bytes", endless.0);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_named_by_their_place() {
        let tokenizer = tokenizer("gpt-2");
        let refused = |bytes: &[u8]| {
            let sizes = Chunks { chunk: 100, overlap: 40 };
            match encode(&tokenizer, bytes, usize::MAX, sizes) {
                Err(ModelError::NotUtf8 { offset }) => Some(offset),
                _ => None,
            }
        };
        let good = "é ".repeat(200);
        assert_eq!(refused(good.as_bytes()), None);
        let broken = [good.as_bytes(), &[0xff], good.as_bytes()].concat();
        assert_eq!(refused(&broken), Some(good.len()));
        let cut = &"é".repeat(200).into_bytes()[..399];
        assert_eq!(refused(cut), Some(398));
    }
}
