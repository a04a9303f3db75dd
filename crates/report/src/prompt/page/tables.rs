//! Tables of coloured cells, which the page's script makes navigable: [`open_cells`], [`Head`], [`Row`], [`bar`].

use std::fmt::{self, Display, Write};

use stratigraph_profile::prompt::TokenTexts;

use crate::text::{Escaped, Number, shortened};

/// A longer text of a token is shortened in a cell.
const TOKEN: usize = 10;

/// What a table says before its cells.
pub(super) struct Head<'a> {
    /// What the whole table is called.
    pub(super) label: &'a str,
    /// What a row is, in the singular: it is the heading of the names of rows.
    pub(super) row: &'a str,
}

/// Opens a table with these names of columns.
pub(super) fn open_cells(f: &mut impl Write, head: &Head, columns: impl Iterator<Item = String>) -> fmt::Result {
    let (label, row) = (Escaped(head.label), Escaped(head.row));
    writeln!(f, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\">")?;
    write!(f, "<table class=\"cells\" data-row=\"{row}\">\n<thead><tr><th scope=\"col\">{row}</th>")?;
    columns.into_iter().try_for_each(|column| write!(f, "<th scope=\"col\">{column}</th>"))?;
    f.write_str("</tr></thead>\n<tbody>\n")
}

pub(super) fn close_cells(f: &mut impl Write) -> fmt::Result {
    f.write_str("</tbody></table></div>\n")
}

/// The names of columns of a prompt's tokens, each with its position.
pub(super) fn token_columns<'a>(
    texts: &'a TokenTexts,
    tokens: &'a [u32],
    first: usize,
) -> impl Iterator<Item = String> + 'a {
    tokens.iter().enumerate().map(move |(at, &id)| format!("{} <small>@{}</small>", Token(texts, id), first + at))
}

/// A token's text in a cell.
pub(super) struct Token<'a>(pub(super) &'a TokenTexts, pub(super) u32);

impl Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Isolated(&shortened(&self.0.shown(self.1), TOKEN)))
    }
}

/// A token's text in a sentence, in quotation marks.
pub(super) struct Quoted<'a>(pub(super) &'a TokenTexts, pub(super) u32);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "‘{}’", Isolated(&self.0.shown(self.1)))
    }
}

/// A text that leaves what stands beside it in order: text that runs from right to left would draw numbers to its other side, and
/// is isolated.
pub(super) struct Isolated<'a>(pub(super) &'a str);

impl Display for Isolated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.chars().any(is_from_right_to_left) {
            true => write!(f, "\u{2068}{}\u{2069}", Escaped(self.0)),
            false => write!(f, "{}", Escaped(self.0)),
        }
    }
}

/// Whether a character is of the blocks of Unicode whose scripts run from right to left.
fn is_from_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}')
        || matches!(c, '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// A row of a table with its name.
pub(super) fn open_row(f: &mut impl Write, name: impl Display) -> fmt::Result {
    write!(f, "<tr><th scope=\"row\">{name}</th>")
}

pub(super) fn close_row(f: &mut impl Write) -> fmt::Result {
    f.write_str("</tr>\n")
}

/// A coloured cell of a number, which shows all digits under the mouse.
pub(super) fn number_cell(f: &mut impl Write, class: &str, value: f64) -> fmt::Result {
    match value.is_finite() {
        true => write!(f, "<td class={class} title={value}>{}</td>", Short(value)),
        false => write!(f, "<td class={class}></td>"),
    }
}

/// A number of at most five characters, where its size allows it.
pub(super) struct Short(pub(super) f64);

impl Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            0.0 => f.write_str("0.00"),
            size if size < 0.005 => write!(f, "{:.0e}", self.0),
            size if size < 9.995 => write!(f, "{:.2}", self.0),
            size if size < 9999.5 => write!(f, "{:.1}", self.0),
            _ => write!(f, "{}", Number(self.0)),
        }
    }
}

/// A probability as a percentage.
pub(super) struct Percent(pub(super) f64);

impl Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match 100.0 * self.0 {
            percent if !percent.is_finite() => f.write_str(crate::text::NOTHING),
            percent if percent >= 9.95 => write!(f, "{percent:.0}%"),
            percent => write!(f, "{percent:.2}%"),
        }
    }
}

/// The largest size of numbers; 0 where there is none.
pub(super) fn largest<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values.into_iter().filter(|value| value.is_finite()).fold(0.0, |most, value| most.max(value.abs()))
}

/// A cell with a bar to the left for a negative number and to the right for a positive one.
pub(super) fn bar(f: &mut impl Write, value: f64, most: f64) -> fmt::Result {
    let share = if most > 0.0 { (value / most).clamp(-1.0, 1.0) } else { 0.0 };
    let (side, left) = if share < 0.0 { ("against", 50.0 + 50.0 * share) } else { ("for", 50.0) };
    write!(
        f,
        "<td class=\"bar\"><i class=\"{side}\" style=\"left:{left:.1}%;width:{:.1}%\"></i></td>",
        50.0 * share.abs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_cells_are_short() {
        let shown = [0.0, -0.001, 0.0049, 3.256, -12.34, 123.45, 1e6].map(|value| Short(value).to_string());
        assert_eq!(shown, ["0.00", "-1e-3", "5e-3", "3.26", "-12.3", "123.5", "1000000"]);
        let shown = [1.0, 0.0995, 0.5, 0.031, 1e-9, f64::NAN].map(|value| Percent(value).to_string());
        assert_eq!(shown, ["100%", "10%", "50%", "3.10%", "0.00%", "–"]);
        assert_eq!(largest(&[1.0, -3.0, f64::NAN]), 3.0);
        let mut cell = String::new();
        number_cell(&mut cell, "q0", 0.001234).unwrap();
        assert_eq!(cell, "<td class=q0 title=0.001234>1e-3</td>");
    }

    #[test]
    fn text_from_right_to_left_is_isolated() {
        let mut texts = TokenTexts::default();
        texts.insert(1, "שלום");
        texts.insert(2, " city");
        let columns: Vec<_> = token_columns(&texts, &[1, 2], 3).collect();
        assert_eq!(columns, ["\u{2068}שלום\u{2069} <small>@3</small>", "␣city <small>@4</small>"]);
        assert_eq!([1, 2].map(|id| Quoted(&texts, id).to_string()), ["‘\u{2068}שלום\u{2069}’", "‘␣city’"]);
    }
}
