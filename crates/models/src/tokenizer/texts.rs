//! The text of tokens: methods of [`Tokenizer`].

use super::Tokenizer;
use crate::Result;

impl Tokenizer {
    /// The text of every token as it appears after a letter, so that a token which begins a word shows the space before
    /// it. A token that is only a part of a character shows U+FFFD.
    ///
    /// # Errors
    /// When the tokenizer cannot decode a token.
    pub fn token_texts(&self) -> Result<Vec<String>> {
        let Some(&letter) = self.encode("a")?.last() else { return Ok(Vec::new()) };
        let alone = self.decode(&[letter])?;
        (0..=self.library.last_id().unwrap_or(0)).map(|id| self.text_behind(letter, &alone, id)).collect()
    }

    /// The text of a token as [`token_texts`](Tokenizer::token_texts) gives it; empty for an id that no token has.
    ///
    /// # Errors
    /// When the tokenizer cannot decode the token.
    pub fn token_text(&self, id: u32) -> Result<String> {
        let Some(&letter) = self.encode("a")?.last() else { return Ok(String::new()) };
        self.text_behind(letter, &self.decode(&[letter])?, id)
    }

    /// The text of a token after the token `letter`, whose own text is `alone`.
    fn text_behind(&self, letter: u32, alone: &str, id: u32) -> Result<String> {
        if !self.library.has(id) {
            return Ok(String::new()); // a gap between ids
        }
        let both = self.decode(&[letter, id])?;
        Ok(both.strip_prefix(alone).map_or_else(|| both.clone(), str::to_owned))
    }
}
