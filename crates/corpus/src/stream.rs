//! Token ids of a text that is read only as far as needed: [`encode_reader`], in [`Chunks`].
//!
//! A text is encoded in overlapping chunks. Where the encodings of two neighbours agree on all tokens around the middle of
//! their overlap, the ids change over from the first to the second; otherwise chunk and overlap grow until they agree. The ids
//! are therefore those of the whole text, and the tokenizer, which may take quadratic time, never gets a long text at once. A
//! chunk begins with a token of the one before, so that the tokens of a long run of one character are in the same places.

use std::io::Read;

use crate::utf8::Utf8Reader;
use crate::{CorpusError, Result, TextEncoder};

/// Sizes of chunks in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    /// Bytes that are read at once.
    pub chunk: usize,
    /// Bytes that two chunks share.
    pub overlap: usize,
}

impl Default for Chunks {
    /// 64 KiB, of which neighbours share 4 KiB.
    fn default() -> Self {
        Self { chunk: 64 << 10, overlap: 4 << 10 }
    }
}

impl Chunks {
    /// Larger ones, after `doublings` chunks in a row that did not agree.
    fn grown(self, doublings: u32) -> Self {
        let chunk = self.chunk.saturating_mul(1 << doublings.min(20));
        let overlap = if doublings == 0 { self.overlap } else { chunk / 2 };
        Self { chunk, overlap }
    }
}

/// A token, and where its text begins in the chunk.
type At = (usize, u32);

/// The first `at_most` token ids of a text, or all of them where there are fewer; `name` is what errors call it. The text is
/// read only as far as needed. The ids are those of the whole text, which is never in memory at once: memory grows with the ids
/// alone.
///
/// # Errors
/// When the text cannot be read, is not UTF-8 as far as it is read, or cannot be encoded.
pub fn encode_reader(
    encoder: &(impl TextEncoder + ?Sized),
    reader: impl Read,
    name: &str,
    at_most: usize,
) -> Result<Vec<u32>> {
    encode_chunks(encoder, &mut Utf8Reader::new(reader, name, false), at_most, Chunks::default())
}

/// As [`encode_reader`], in chunks of other sizes, on which the ids do not depend.
///
/// # Errors
/// As [`encode_reader`].
pub fn encode_reader_in(
    encoder: &(impl TextEncoder + ?Sized),
    reader: impl Read,
    at_most: usize,
    sizes: Chunks,
) -> Result<Vec<u32>> {
    encode_chunks(encoder, &mut Utf8Reader::new(reader, "the text", false), at_most, sizes)
}

/// As [`encode_reader`], of a text that is being decoded.
pub(crate) fn encode_chunks<R: Read>(
    encoder: &(impl TextEncoder + ?Sized),
    reader: &mut Utf8Reader<R>,
    at_most: usize,
    sizes: Chunks,
) -> Result<Vec<u32>> {
    /// Tokens of an overlap from which on chunks need not be large.
    const MANY: usize = 64;
    let mut text = reader.read(sizes.chunk)?;
    if reader.has_ended() {
        return Ok(shortened(encode_ids(encoder, &text, reader.name())?, at_most));
    }
    let mut tokens = encode_chunk(encoder, &text, reader.name())?;
    let (mut ids, mut from, mut doublings) = (Vec::new(), 0, 0);
    while !reader.has_ended() && ids.len() < at_most {
        let Chunks { chunk, overlap } = sizes.grown(doublings);
        let shared = beginning(&text, &tokens, overlap);
        let end = text.len();
        text.push_str(&reader.read(chunk)?);
        let next_tokens = encode_chunk(encoder, &text[shared..], reader.name())?;
        match seam(&tokens, &next_tokens, shared, end - shared) {
            Some(Seam { at, n_tokens }) => {
                ids.extend(tokens.iter().filter(|(start, _)| (from..at).contains(start)).map(|(_, id)| *id));
                text.drain(..shared);
                (tokens, from) = (next_tokens, at - shared);
                doublings = if n_tokens >= MANY { 0 } else { doublings };
            }
            None => {
                tokens = encode_chunk(encoder, &text, reader.name())?;
                doublings += 1;
            }
        }
    }
    if reader.has_ended() {
        ids.extend(tokens.iter().filter(|(start, _)| *start >= from).map(|(_, id)| *id));
    }
    Ok(shortened(ids, at_most))
}

fn shortened(mut ids: Vec<u32>, at_most: usize) -> Vec<u32> {
    ids.truncate(at_most);
    ids
}

/// The ids of a text.
pub(crate) fn encode_ids(encoder: &(impl TextEncoder + ?Sized), text: &str, name: &str) -> Result<Vec<u32>> {
    encoder.encode_ids(text).map_err(|reason| CorpusError::Encode { name: name.to_owned(), reason })
}

fn encode_chunk(encoder: &(impl TextEncoder + ?Sized), text: &str, name: &str) -> Result<Vec<At>> {
    let tokens = encoder.encode_spans(text);
    let tokens = tokens.map_err(|reason| CorpusError::Encode { name: name.to_owned(), reason })?;
    Ok(tokens.into_iter().map(|token| (token.bytes.start, token.id)).collect())
}

/// Where the next chunk begins: at the last token that leaves `overlap` bytes at least.
fn beginning(text: &str, tokens: &[At], overlap: usize) -> usize {
    let latest = text.len().saturating_sub(overlap);
    let token = tokens.iter().rev().map(|(start, _)| *start).find(|start| *start <= latest);
    text.floor_char_boundary(token.unwrap_or(0))
}

/// Where ids change over from a chunk to the next.
struct Seam {
    /// The byte of the first chunk.
    at: usize,
    /// How many tokens both have around it.
    n_tokens: usize,
}

/// The seam of a chunk and the next, which begins at its byte `shared` and has `overlap` bytes of it: a token in the middle of
/// the overlap, if both have the same tokens over half of it. `None` if they do not.
fn seam(tokens: &[At], next: &[At], shared: usize, overlap: usize) -> Option<Seam> {
    let middle = overlap / 4..overlap * 3 / 4;
    let inside = |tokens: &[At], begin: usize| -> Vec<At> {
        let from_begin = tokens.iter().filter_map(|(start, id)| Some((start.checked_sub(begin)?, *id)));
        from_begin.filter(|(start, _)| middle.contains(start)).collect()
    };
    let (before, after) = (inside(tokens, shared), inside(next, 0));
    let (at, _) = before.get(before.len() / 2).filter(|_| before == after)?;
    Some(Seam { at: shared + at, n_tokens: before.len() })
}
