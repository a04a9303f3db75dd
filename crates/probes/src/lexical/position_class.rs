//! What the token of a position is by its text: [`PositionClass`].

/// What the token of a position is, by its text and, of letters, by the token before it.
///
/// A token with a letter is part of a word, any other one with a digit a number, any other one with a visible character
/// punctuation. A symbol counts as punctuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PositionClass {
    /// It has a letter, and begins with white space or follows a token that does not end with a letter or a digit. So does
    /// the first token of a window, before which the model sees nothing.
    WordStart,
    /// It has a letter, and follows a letter or a digit without white space between.
    WordContinuation,
    /// It has a digit and no letter.
    Digit,
    /// It has neither letter nor digit, and is not only white space.
    Punctuation,
    /// White space alone, line breaks too.
    WhiteSpace,
    /// It has no text, as a special token, or is only a part of a character.
    Other,
}

impl PositionClass {
    /// All of them, in the order in which results list them.
    pub const ALL: [PositionClass; 6] = [
        PositionClass::WordStart,
        PositionClass::WordContinuation,
        PositionClass::Digit,
        PositionClass::Punctuation,
        PositionClass::WhiteSpace,
        PositionClass::Other,
    ];

    /// What results call it.
    pub fn label(self) -> &'static str {
        match self {
            PositionClass::WordStart => "word start",
            PositionClass::WordContinuation => "word continuation",
            PositionClass::Digit => "digit",
            PositionClass::Punctuation => "punctuation",
            PositionClass::WhiteSpace => "white space",
            PositionClass::Other => "other",
        }
    }

    /// The classes of the tokens of a window, given the text of each as it is after a letter: white space before it
    /// shows, a part of a character is U+FFFD, and a special token is empty.
    ///
    /// ```
    /// use stratigraph_probes::lexical::PositionClass::{self, *};
    /// let classes = PositionClass::of_window(&["Un", "lik", "ely", " 42", "nd", ",", "\n", "x", "\u{fffd}"]);
    /// assert_eq!(classes[..3], [WordStart, WordContinuation, WordContinuation]);
    /// assert_eq!(classes[3..], [Digit, WordContinuation, Punctuation, WhiteSpace, WordStart, Other]);
    /// ```
    pub fn of_window(texts: &[&str]) -> Vec<PositionClass> {
        let ends_within = |before: Option<&&str>| before.is_some_and(|text| text.ends_with(char::is_alphanumeric));
        let class = |position: usize| {
            let goes_on = ends_within(texts[..position].last());
            Self::of(texts[position], goes_on)
        };
        (0..texts.len()).map(class).collect()
    }

    /// The class of a token, which directly follows a letter or a digit, or not.
    fn of(text: &str, goes_on: bool) -> Self {
        let begins_with_space = text.starts_with(char::is_whitespace);
        if text.contains(char::is_alphabetic) {
            return if goes_on && !begins_with_space { Self::WordContinuation } else { Self::WordStart };
        }
        if text.contains(char::is_numeric) {
            return Self::Digit;
        }
        let seen = text.trim();
        match () {
            () if text.is_empty() || seen.contains(char::REPLACEMENT_CHARACTER) => Self::Other,
            () if seen.is_empty() => Self::WhiteSpace,
            () => Self::Punctuation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PositionClass::*;
    use super::*;

    #[test]
    fn a_token_is_classed_by_its_text_and_the_one_before() {
        let texts =
            ["the", " cat", "'s", " (", "an", " \"", " other", "\n\n", "The", " 3", ".", "5", "th", "\u{fffd}", ""];
        let expected = [
            WordStart,
            WordStart,
            WordContinuation,
            Punctuation,
            WordStart,
            Punctuation,
            WordStart,
            WhiteSpace,
            WordStart,
            Digit,
            Punctuation,
            Digit,
            WordContinuation,
            Other,
            Other,
        ];
        assert_eq!(PositionClass::of_window(&texts), expected);
        assert_eq!(
            PositionClass::of_window(&["é", "té", " \u{fffd}", "caf\u{fffd}"])[1..],
            [WordContinuation, Other, WordStart]
        );
        assert_eq!(
            PositionClass::of_window(&[" @-@", " –", "  ", "\t"]),
            [Punctuation, Punctuation, WhiteSpace, WhiteSpace]
        );
    }

    #[test]
    fn labels_differ() {
        let labels = PositionClass::ALL.map(PositionClass::label).into_iter();
        let labels = labels.chain(crate::lexical::WordPart::ALL.map(crate::lexical::WordPart::label));
        assert_eq!(labels.collect::<std::collections::BTreeSet<_>>().len(), 10);
    }
}
