//! Text from a user or a file, as a message shows it: [`shown`].

use std::fmt::{self, Display, Formatter, Write};

/// Characters that a message shows of a name or a value.
const MOST: usize = 100;

/// A text as a message shows it: see [`shown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a> {
    text: &'a str,
    most: usize,
}

impl Shown<'_> {
    /// Cut after `most` characters instead, for a text that is more than a name, such as the message of a library.
    pub fn within(self, most: usize) -> Self {
        Self { most, ..self }
    }
}

/// A text from a user or a file, such as a name or a value, as a message shows it: on one line, with control characters and
/// characters that are invisible or change the direction of writing escaped, and cut after 100 characters.
///
/// ```
/// use stratigraph_core::shown;
/// assert_eq!(shown("model.norm.weight").to_string(), "model.norm.weight");
/// assert_eq!(shown("two\nlines\u{1b}[31m").to_string(), "two\\nlines\\u{1b}[31m");
/// assert_eq!(shown(&"x".repeat(1000)).to_string(), format!("{}... (1000 bytes)", "x".repeat(100)));
/// ```
pub fn shown(text: &str) -> Shown<'_> {
    Shown { text, most: MOST }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (nth, c) in self.text.chars().enumerate() {
            if nth == self.most {
                return write!(f, "... ({} bytes)", self.text.len());
            }
            if is_visible(c) { f.write_char(c)? } else { write!(f, "{}", c.escape_debug())? }
        }
        Ok(())
    }
}

/// Whether a character is visible on a line and does not move the others.
fn is_visible(c: char) -> bool {
    let is_format = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_disturb_a_terminal_is_escaped() {
        let disturbing = "\0\t\r\n\u{7f}\u{85}\u{1b}\u{200f}\u{202e}\u{2028}\u{2066}\u{feff}";
        let text = shown(disturbing).to_string();
        assert!(text.chars().all(|c| c.is_ascii() && !c.is_control()), "{text:?}");
        assert_eq!(text.matches('\\').count(), disturbing.chars().count());
        for plain in ["", "▁Paris", "naïve 日本語 👩", "a \"quoted\" \\ `name`"] {
            assert_eq!(shown(plain).to_string(), plain);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = "é".repeat(101);
        assert_eq!(shown(&long).to_string(), format!("{}... (202 bytes)", "é".repeat(100)));
        assert_eq!(shown(&long[2..]).to_string(), &long[2..]);
        assert_eq!(shown(&long).within(101).to_string(), long);
    }
}
