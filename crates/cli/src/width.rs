//! Columns that texts take on a terminal, in which a Chinese character has two: [`columns`], [`padded`], [`right`].

use unicode_width::UnicodeWidthStr;

/// The columns that a text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// A text padded with spaces to `width` columns.
pub fn padded(text: &str, width: usize) -> String {
    format!("{text}{:1$}", "", width.saturating_sub(columns(text)))
}

/// A text padded on the left with spaces to `width` columns.
pub fn right(text: &str, width: usize) -> String {
    format!("{:1$}{text}", "", width.saturating_sub(columns(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_and_combining_characters_are_counted_as_a_terminal_shows_them() {
        assert_eq!(["abc", "日本", "e\u{301}", ""].map(columns), [3, 4, 1, 0]);
        assert_eq!((padded("日", 4), right("日", 4), padded("日本", 1)), ("日  ".into(), "  日".into(), "日本".into()));
    }
}
