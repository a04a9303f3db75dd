//! The words of each window of a corpus, [`WindowWords`], and the place of a token in its word, [`WordPart`].

use std::ops::Range;

use stratigraph_core::{TokenSpan, TokenWindows};

use super::Words;

/// The words of each window of a corpus, as [`Words`] finds them in the window's text: runs of letters whose tokens hold nothing
/// else except white space. A window cuts the words at its ends: they begin and end with it.
///
/// ```
/// use stratigraph_core::TokenWindows;
/// use stratigraph_probes::lexical::{WindowWords, WordPart::*};
///
/// let texts = [" un", "lik", "ely", " ends", "!"].map(String::from);
/// let windows = TokenWindows::new(&[3, 0, 1, 2, 3, 4, 0, 1], 4)?;
/// let words = WindowWords::new(&windows, &texts);
/// assert_eq!(words.of_window(0), [0..1, 1..4]);
/// assert_eq!(words.of_window(1), [0..1, 2..4]); // the window ends before the word does
/// assert_eq!([0, 1, 2, 3].map(|position| words.part(0, position)), [Single, Inside, Inside, Last]);
/// assert_eq!(words.part(1, 1), None);
/// # Ok::<(), stratigraph_core::CoreError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowWords {
    windows: Vec<Vec<Range<usize>>>,
}

impl WindowWords {
    /// The words of windows whose tokens have these texts, by their ids. A token without a text, such as a special token, is no
    /// part of a word and ends the word before it.
    pub fn new(windows: &TokenWindows, token_texts: &[String]) -> Self {
        /// Stands in for a token without a text.
        const NO_TEXT: &str = "\0";
        let text_of = |id: u32| token_texts.get(id as usize).filter(|text| !text.is_empty()).map_or(NO_TEXT, |it| it);
        let words = |window: usize| {
            let (mut text, mut tokens) = (String::new(), Vec::new());
            for &id in windows.sequence(window) {
                let start = text.len();
                text.push_str(text_of(id));
                tokens.push(TokenSpan::new(id, start..text.len()));
            }
            Words::new(&text, tokens).words().iter().map(|word| word.tokens.clone()).collect()
        };
        Self { windows: (0..windows.n_sequences()).map(words).collect() }
    }

    /// How many windows there are.
    pub fn n_windows(&self) -> usize {
        self.windows.len()
    }

    /// The positions of each word of a window, in order; none for a window that does not exist.
    pub fn of_window(&self, window: usize) -> &[Range<usize>] {
        self.windows.get(window).map_or(&[], Vec::as_slice)
    }

    /// The place of the token at a position of a window in its word.
    pub fn part(&self, window: usize, position: usize) -> WordPart {
        let words = self.of_window(window);
        let before = words.partition_point(|word| word.end <= position);
        match words.get(before).filter(|word| word.contains(&position)) {
            None => WordPart::None,
            Some(word) if word.len() == 1 => WordPart::Single,
            Some(word) if position + 1 == word.end => WordPart::Last,
            Some(_) => WordPart::Inside,
        }
    }
}

#[cfg(test)]
impl From<Vec<Vec<Range<usize>>>> for WindowWords {
    fn from(windows: Vec<Vec<Range<usize>>>) -> Self {
        Self { windows }
    }
}

/// The place of a token in its word, of the words that [`WindowWords`] finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WordPart {
    /// The only token of its word.
    Single,
    /// In a word of several tokens, before the last one.
    Inside,
    /// The last token of a word of several.
    Last,
    /// No part of a word.
    None,
}

impl WordPart {
    /// All of them, in the order in which results list them.
    pub const ALL: [WordPart; 4] = [WordPart::Single, WordPart::Inside, WordPart::Last, WordPart::None];

    /// What results call it.
    pub fn label(self) -> &'static str {
        match self {
            WordPart::Single => "single token",
            WordPart::Inside => "inside",
            WordPart::Last => "last token",
            WordPart::None => "no word",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::WordPart::{Inside, Last, Single};
    use super::*;

    fn words(ids: &[u32], seq_len: usize, texts: &[&str]) -> WindowWords {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        WindowWords::new(&TokenWindows::new(ids, seq_len).unwrap(), &texts)
    }

    #[test]
    fn words_are_cut_where_windows_are() {
        let words = words(&[4, 1, 2, 3, 2, 0, 9, 3], 4, &["a", " un", "do", " it", "<s>"]);
        assert_eq!(words.of_window(0), [1..3, 3..4]); // "<s>" holds more than a word
        assert_eq!(words.of_window(1), [0..2, 3..4]); // "doa", and a token without a text
        assert!(words.of_window(2).is_empty() && words.n_windows() == 2);
    }

    #[test]
    fn a_token_without_a_text_ends_a_word() {
        let words = words(&[0, 1, 2, 1], 4, &[" un", "", "do"]);
        assert_eq!(words.of_window(0), [0..1, 2..3]);
    }

    /// Every kind of token, and each position's part of a word.
    #[test]
    fn every_position_has_one_part() {
        let texts =
            [" The", " un", "like", "ly", " cat", "'s", " 19", "80", "s", ",", "\n", "\u{fffd}", " na", "ï", "ve"];
        let ids: Vec<u32> = (0..texts.len() as u32).collect();
        let words = words(&ids, texts.len(), &texts);
        let no = WordPart::None;
        // "'s" holds an apostrophe beside its letter; the letters of "1980s" are a token of their own.
        let expected = [Single, Inside, Inside, Last, Single, no, no, no, Single, no, no, no, Inside, Inside, Last];
        let found: Vec<_> = (0..texts.len()).map(|position| words.part(0, position)).collect();
        assert_eq!(found, expected);
        let in_words: usize = words.of_window(0).iter().map(Range::len).sum();
        assert_eq!(found.iter().filter(|part| **part != no).count(), in_words);
        assert_eq!((words.part(0, texts.len()), words.part(1, 0)), (no, no));
    }
}
