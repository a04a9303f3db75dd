//! Tokens to text, as they come: [`TextStream`].

use stratigraph_corpus::TextDecoder;

use crate::{GenerateError, Result};

/// Tokens before the new ones that decide how these are written, such as with or without a space.
const CONTEXT: usize = 8;

/// Tokens of a prompt that may be taken to begin with a whole character.
const LONGEST: usize = 64;

/// What stands for bytes that are no whole character.
const REPLACEMENT: char = '\u{fffd}';

/// Tokens of an unfinished character at most, which are a byte each.
const UNFINISHED: usize = 3;

/// Turns tokens into text one after the other. The text of a character whose bytes are spread over several tokens comes with
/// the last of these.
///
/// ```
/// # use std::error::Error;
/// use stratigraph_corpus::TextDecoder;
/// use stratigraph_generate::TextStream;
///
/// /// A token for each byte.
/// struct Bytes;
///
/// impl TextDecoder for Bytes {
///     fn decode_ids(&self, ids: &[u32]) -> Result<String, Box<dyn Error + Send + Sync>> {
///         let bytes: Vec<u8> = ids.iter().map(|&id| id as u8).collect();
///         Ok(String::from_utf8_lossy(&bytes).into_owned())
///     }
/// }
///
/// let mut stream = TextStream::new(&Bytes, &[b'a'.into()])?; // after the prompt `a`
/// let parts = "é!".bytes().map(|byte| stream.push(byte.into())).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(parts, ["", "é", "!"]);
/// # Ok::<(), stratigraph_generate::GenerateError>(())
/// ```
pub struct TextStream<'a> {
    decoder: &'a dyn TextDecoder,
    /// The last tokens, of which the text of some was returned.
    ids: Vec<u32>,
    /// Tokens at the front that only give context.
    n_context: usize,
    /// Bytes of the text of `ids` that were returned.
    n_returned: usize,
    /// Tokens since the text last ended with a whole character.
    n_unfinished: usize,
}

impl<'a> TextStream<'a> {
    /// A stream of the tokens that follow a prompt. A character that the prompt begins and they end is a part of their text.
    ///
    /// # Errors
    /// When the prompt cannot be turned into text.
    pub fn new(decoder: &'a dyn TextDecoder, prompt: &[u32]) -> Result<Self> {
        for n_unfinished in 0..=UNFINISHED.min(prompt.len()) {
            let (finished, unfinished) = prompt.split_at(prompt.len() - n_unfinished);
            let mut stream = Self::after(decoder, finished)?;
            if !stream.text()?.ends_with(REPLACEMENT) {
                unfinished.iter().try_for_each(|token| stream.push(*token).map(drop))?;
                return Ok(stream);
            }
        }
        Self::after(decoder, prompt)
    }

    /// A stream of the tokens that follow a prompt, of which all characters are known.
    fn after(decoder: &'a dyn TextDecoder, prompt: &[u32]) -> Result<Self> {
        // More than the usual context where that would begin within a character.
        for n_context in [CONTEXT, LONGEST, prompt.len()] {
            let ids = prompt[prompt.len().saturating_sub(n_context)..].to_vec();
            let text = decoder.decode_ids(&ids).map_err(GenerateError::text)?;
            if ids.len() == prompt.len() || !text.contains(REPLACEMENT) {
                return Ok(Self { decoder, n_context: ids.len(), ids, n_returned: text.len(), n_unfinished: 0 });
            }
        }
        unreachable!("the last of them is the whole prompt")
    }

    /// Adds a token, and returns the text that is certain now: all but bytes at the end that may become a character.
    ///
    /// # Errors
    /// When the tokens cannot be turned into text.
    pub fn push(&mut self, token: u32) -> Result<String> {
        self.ids.push(token);
        let text = self.text()?;
        self.n_unfinished = if text.ends_with(REPLACEMENT) { self.n_unfinished + 1 } else { 0 };
        let end = self.certain(&text);
        let new = self.newly(&text, end);
        if self.n_unfinished == 0 || self.n_unfinished > UNFINISHED {
            self.forget()?;
        }
        Ok(new)
    }

    /// The rest, after the last token; bytes that are no character are U+FFFD.
    ///
    /// # Errors
    /// When the tokens cannot be turned into text.
    pub fn finish(&mut self) -> Result<String> {
        let text = self.text()?;
        Ok(self.newly(&text, text.len()))
    }

    fn text(&self) -> Result<String> {
        self.decoder.decode_ids(&self.ids).map_err(GenerateError::text)
    }

    /// The text after what was returned, up to a byte. A tokenizer may write earlier tokens otherwise when others follow; what
    /// was returned stays.
    fn newly(&mut self, text: &str, end: usize) -> String {
        let start = text.floor_char_boundary(self.n_returned);
        let new = text.get(start..end).unwrap_or_default();
        self.n_returned = self.n_returned.max(end);
        new.to_owned()
    }

    /// Bytes of a text that more tokens cannot change: all but U+FFFD at its end. Some tokenizers write a whole run of bytes as
    /// U+FFFD while its last character is unfinished. Where more tokens than a character has do not finish one, the first of
    /// them never will.
    fn certain(&self, text: &str) -> usize {
        let at_end = text.chars().rev().take_while(|c| *c == REPLACEMENT).count();
        let open = if self.n_unfinished <= UNFINISHED { at_end } else { at_end.min(UNFINISHED) };
        text.len() - open * REPLACEMENT.len_utf8()
    }

    /// Drops tokens from the front, of which enough are left to give context.
    fn forget(&mut self) -> Result<()> {
        if self.ids.len() < 2 * CONTEXT.max(self.n_context) {
            return Ok(());
        }
        let kept = self.ids[self.ids.len() - CONTEXT..].to_vec();
        let text = self.decoder.decode_ids(&kept).map_err(GenerateError::text)?;
        if !text.contains(REPLACEMENT) || self.n_unfinished > UNFINISHED {
            (self.n_context, self.n_returned) = (kept.len(), self.certain(&text));
            self.ids = kept;
        }
        Ok(())
    }
}
