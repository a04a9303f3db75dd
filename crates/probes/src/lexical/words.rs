//! Which tokens make which words of a text: [`Words`].

use std::ops::Range;

use stratigraph_core::{TokenSpan, TokenWindows};

use crate::Result;

/// A word of a text and its tokens, which contain nothing else except white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its letters.
    pub text: String,
    /// The indices of its tokens among those of the text.
    pub tokens: Range<usize>,
}

/// The tokens of a text with its words.
///
/// A word is a run of letters. It is left out if its tokens contain anything except white space around it, because
/// then it does not begin and end at token boundaries.
///
/// ```
/// use stratigraph_core::TokenSpan;
/// use stratigraph_probes::lexical::Words;
/// // As a tokenizer might cut it: "un|lik|ely", " ends", "!".
/// let tokens = [(7, 0..2), (8, 2..5), (9, 5..8), (5, 8..13), (1, 13..14)];
/// let words = Words::new("unlikely ends!", tokens.map(|(id, bytes)| TokenSpan::new(id, bytes)));
/// assert_eq!(words.words().len(), 2);
/// assert_eq!((words.words()[0].text.as_str(), words.words()[0].tokens.clone()), ("unlikely", 0..3));
/// assert_eq!(words.words()[1].tokens, 3..4);
/// ```
#[derive(Debug, Clone)]
pub struct Words {
    ids: Vec<u32>,
    words: Vec<Word>,
    bos: Option<u32>,
}

impl Words {
    /// The words of `text`, from all of its tokens in order.
    pub fn new(text: &str, tokens: impl IntoIterator<Item = TokenSpan>) -> Self {
        let trimmed = |token: TokenSpan| (token.id, trimmed(text, token.bytes));
        let (ids, offsets): (Vec<u32>, Vec<_>) = tokens.into_iter().map(trimmed).unzip();
        let mut words = Vec::new();
        let mut next = 0;
        for letters in runs_of_letters(text) {
            next += offsets[next..].iter().take_while(|at| at.start < letters.start || at.is_empty()).count();
            let inside = offsets[next..].iter().take_while(|at| at.start < letters.end).count();
            let of_word = &offsets[next..next + inside];
            if tile(of_word, &letters) {
                words.push(Word { text: text[letters].to_owned(), tokens: next..next + inside });
            }
            next += inside;
        }
        Self { ids, words, bos: None }
    }

    /// With the token that windows of the text begin with, such as that of the windows of a corpus. It is one of a window's tokens.
    pub fn with_bos(self, bos: Option<u32>) -> Self {
        Self { bos, ..self }
    }

    /// With those words alone for which `is_kept` is true; the text stays as it is.
    pub fn retain(mut self, is_kept: impl FnMut(&Word) -> bool) -> Self {
        self.words.retain(is_kept);
        self
    }

    /// The token ids of the text.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The words, in order.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// How many of a window's `seq_len` tokens are of the text.
    pub(super) fn content(&self, seq_len: usize) -> usize {
        seq_len - usize::from(self.bos.is_some())
    }

    /// Windows of `seq_len` tokens, whose tokens of the text begin at these places.
    pub(super) fn windows(&self, seq_len: usize, starts: &[usize]) -> Result<TokenWindows> {
        let of_text = TokenWindows::starting_at(&self.ids, self.content(seq_len), starts)?;
        let Some(bos) = self.bos else { return Ok(of_text) };
        let windows = (0..of_text.n_sequences()).map(|window| of_text.sequence(window));
        let ids: Vec<u32> = windows.flat_map(|ids| std::iter::once(bos).chain(ids.iter().copied())).collect();
        Ok(TokenWindows::new(&ids, seq_len)?.with_bos(bos)?)
    }
}

/// Without white space at either end; part of a character stays as it is.
fn trimmed(text: &str, at: Range<usize>) -> Range<usize> {
    let Some(token) = text.get(at.clone()) else { return at };
    let start = at.start + (token.len() - token.trim_start().len());
    start..(start + token.trim().len())
}

fn runs_of_letters(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut rest = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, _) = rest.find(|(_, c)| c.is_alphabetic())?;
        while rest.next_if(|(_, c)| c.is_alphabetic()).is_some() {}
        let end = rest.peek().map_or(text.len(), |(at, _)| *at);
        Some(start..end)
    })
}

/// Whether tokens follow each other without a gap from the first letter to the last.
fn tile(tokens: &[Range<usize>], letters: &Range<usize>) -> bool {
    let joined = tokens.windows(2).all(|pair| pair[0].end == pair[1].start);
    let (first, last) = (tokens.first(), tokens.last());
    joined && first.is_some_and(|at| at.start == letters.start) && last.is_some_and(|at| at.end == letters.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, cuts: &[usize]) -> Vec<(String, Range<usize>)> {
        let ends = cuts.iter().copied().chain([text.len()]);
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let tokens = starts.zip(ends).map(|(start, end)| TokenSpan::new(0, start..end));
        Words::new(text, tokens).words.into_iter().map(|word| (word.text, word.tokens)).collect()
    }

    #[test]
    fn words_that_tokens_do_not_tile_are_left_out() {
        let word = |text: &str, tokens| (text.to_owned(), tokens);
        assert_eq!(found("a bc", &[1]), [word("a", 0..1), word("bc", 1..2)]);
        assert_eq!(found("bc, d", &[2, 4]), [word("bc", 0..1), word("d", 2..3)]);
        assert_eq!(found("bc, d", &[1, 3]), [word("d", 2..3)]); // "c," holds more than the word
        assert_eq!(found("don't", &[3, 4]), [word("don", 0..1), word("t", 2..3)]);
        assert_eq!(found("naïve 3rd", &[2, 4, 6]), [word("naïve", 0..3)]);
        assert_eq!(found("a  bc", &[1, 2]), [word("a", 0..1), word("bc", 2..3)]);
        assert_eq!(found("a  bc", &[1, 3]), [word("a", 0..1), word("bc", 2..3)]); // white space is not part of a word
        assert_eq!(found("  ", &[]), []);
        assert_eq!(found("", &[]), []);
    }
}
