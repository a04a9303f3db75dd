//! Text for people: [`Escaped`] between tags and in attributes, [`Number`] in few digits.

use std::fmt::{self, Display, Write};

/// Text that is safe between tags and in a quoted attribute of HTML and of SVG.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            '\n' | '\t' => f.write_char(c),
            // XML cannot have control characters and the last two, not even escaped.
            c if steers(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => f.write_char('\u{fffd}'),
            c => f.write_char(c),
        })
    }
}

/// Text from a file on a line of a terminal: each character that steers it becomes a replacement character.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// Whether a character changes what stands around it: control characters, and those that change the direction of writing.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `longest` characters of a text: its beginning and its end.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    let n = text.chars().count();
    if n <= longest {
        return text.to_owned();
    }
    let (head, tail) = (longest / 2, longest - longest / 2 - 1);
    text.chars().take(head).chain(['…']).chain(text.chars().skip(n - tail)).collect()
}

/// Shown instead of a missing number.
pub(crate) const NOTHING: &str = "–";

/// A number in four digits: `8.056`, `0.04417`, `1284`, `2.1e-7`. What is not finite is [`NOTHING`].
pub(crate) struct Number(pub(crate) f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if !size.is_finite() {
            return f.write_str(NOTHING);
        }
        if size != 0.0 && !(1e-4..1e7).contains(&size) {
            return write!(f, "{:.2e}", self.0);
        }
        let before = if size < 1.0 { size.max(1e-4).log10().floor() as i32 } else { size.log10().floor() as i32 };
        let decimals = (3 - before).clamp(0, 7) as usize;
        f.write_str(without_zeros(&format!("{:.decimals$}", self.0)))
    }
}

/// A number beside an axis, without the digits that come from rounding errors.
pub(crate) struct Tick(pub(crate) f64);

impl Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if size != 0.0 && !(9.9e-5..1e5).contains(&size) {
            return write!(f, "{:e}", format!("{:.2e}", self.0).parse().unwrap_or(self.0));
        }
        f.write_str(without_zeros(&format!("{:.6}", self.0)))
    }
}

fn without_zeros(digits: &str) -> &str {
    if !digits.contains('.') {
        return digits;
    }
    match digits.trim_end_matches('0').trim_end_matches('.') {
        "" | "-" | "-0" => "0",
        short => short,
    }
}

/// An estimate with its standard error, where it has one: `8.056 ± 0.12`.
pub(crate) fn with_error(mean: f64, sem: Option<f64>) -> String {
    match sem.filter(|sem| sem.is_finite()) {
        Some(sem) if mean.is_finite() => format!("{} ± {:.2}", Number(mean), Significant(sem)),
        _ => Number(mean).to_string(),
    }
}

/// An error in two digits.
struct Significant(f64);

impl Display for Significant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:.1e}", self.0);
        Number(digits.parse().unwrap_or(self.0)).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits() {
        let shown = [8.05632, 0.0441725, 1284.4, 2.1e-7, 0.0, 1.0, -0.5, 200.0, 12345.6, f64::NAN, f64::INFINITY];
        let shown = shown.map(|number| Number(number).to_string());
        let expected = ["8.056", "0.04417", "1284", "2.10e-7", "0", "1", "-0.5", "200", "12346", NOTHING, NOTHING];
        assert_eq!(shown, expected);
        assert_eq!(with_error(8.05632, Some(0.1234)), "8.056 ± 0.12");
        assert_eq!(with_error(8.05632, Some(f64::NAN)), "8.056");
        assert_eq!(with_error(f64::NAN, Some(1.0)), NOTHING);
    }

    #[test]
    fn long_texts_keep_both_ends() {
        assert_eq!(["abcdefg", "abcdefgh"].map(|text| shortened(text, 7)), ["abcdefg", "abc…fgh"]);
    }

    #[test]
    fn ticks_are_short() {
        let shown = [0.0, 0.6000000000000001, 1e-4, 1e-7, 100_000.0, 20_000.0, -2.0].map(|tick| Tick(tick).to_string());
        assert_eq!(shown, ["0", "0.6", "0.0001", "1e-7", "1e5", "20000", "-2"]);
    }

    #[test]
    fn text_is_escaped_for_attributes_too() {
        assert_eq!(Escaped("<a b=\"c\">&'\u{0}").to_string(), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;\u{fffd}");
    }

    #[test]
    fn no_character_steers_a_terminal_or_turns_a_page_around() {
        for steering in ['\u{1b}', '\r', '\u{85}', '\u{b}', '\u{c}', '\u{202e}', '\u{2067}'] {
            let text = format!("a{steering}b");
            assert_eq!([plain(&text), Escaped(&text).to_string()], ["a\u{fffd}b"; 2], "{steering:?}");
        }
        assert_eq!((plain("a\n\tb"), Escaped("a\n\tb").to_string()), ("a\u{fffd}\u{fffd}b".into(), "a\n\tb".into()));
    }
}
