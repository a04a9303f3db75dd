//! The grids of lenses for a terminal: [`LensChart`].

use std::fmt::{self, Display};
use std::ops::Range;

use stratigraph_profile::prompt::{LensCell, LensGrid, PromptReading};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::measure::{LensMeasure, STEPS};
use crate::text::plain;

/// Colours of the 256 of a terminal for each step, dark blue to yellow, with black or white letters on them.
const BACKGROUNDS: [u8; STEPS] = [17, 24, 60, 101, 143, 227];
const LETTERS: [u8; STEPS] = [231, 231, 231, 16, 16, 16];
/// The widest text of a token.
const TOKEN: usize = 9;
/// The width of the names of rows, and of a cell's number.
const ROW: usize = 4;
const NUMBER: usize = 5;
/// Between columns.
const GAP: usize = 1;

/// Prints a grid for each lens: a row for each residual position, a column for each token, and in a cell the token that the lens
/// finds most likely to follow, with a number. Where not all columns fit, they come in several blocks.
///
/// ```
/// use stratigraph_profile::ModelRecord;
/// use stratigraph_profile::prompt::{LensCell, LensGrid, LikelyToken, PromptReading};
/// use stratigraph_report::{LensChart, LensMeasure};
///
/// let rows = [0.25, 0.75].map(|p| vec![LensCell::new(vec![LikelyToken::new(7, p)])]);
/// let reading = PromptReading::new(ModelRecord::new("m", 1, 4, 8), vec![3])
///     .with_text(3, "The")
///     .with_text(7, " city")
///     .with_lens(LensGrid::new("lens", "logit lens", rows.into()));
/// let text = LensChart::new(&reading).with_measure(LensMeasure::Probability).with_width(40).to_string();
/// assert!(text.contains("   0  ␣city  25%*"), "{text}");
/// ```
pub struct LensChart<'a> {
    reading: &'a PromptReading,
    measure: LensMeasure,
    width: usize,
    colour: bool,
}

impl<'a> LensChart<'a> {
    /// The chart of a prompt: 100 characters wide, without colour.
    pub fn new(reading: &'a PromptReading) -> Self {
        Self { reading, measure: LensMeasure::default(), width: 100, colour: false }
    }

    /// With another number in each cell.
    pub fn with_measure(self, measure: LensMeasure) -> Self {
        Self { measure, ..self }
    }

    /// With lines of at most this many characters; at least one column is printed.
    pub fn with_width(self, width: usize) -> Self {
        Self { width, ..self }
    }

    /// With colours, for a terminal.
    pub fn with_colour(self, colour: bool) -> Self {
        Self { colour, ..self }
    }

    fn grid(&self, f: &mut fmt::Formatter<'_>, grid: &LensGrid) -> fmt::Result {
        let origin = grid.origin.as_ref().map(|origin| format!(", {origin}")).unwrap_or_default();
        wrapped(f, &plain(&format!("{}{origin}", grid.title)), self.width)?;
        let widths: Vec<usize> = (0..self.reading.tokens.len()).map(|column| self.token_width(grid, column)).collect();
        let mut first = 0;
        while first < widths.len() {
            let mut taken = ROW;
            let fits = |width: &&usize| {
                taken += 2 * GAP + **width + 1 + NUMBER;
                taken <= self.width
            };
            let n = widths[first..].iter().take_while(fits).count().max(1);
            self.block(f, grid, first..first + n, &widths)?;
            first += n;
        }
        Ok(())
    }

    /// The width of the widest token of a column.
    fn token_width(&self, grid: &LensGrid, column: usize) -> usize {
        let cells = grid.rows.iter().filter_map(|row| row.get(column)?.most_likely());
        let texts = cells.map(|token| token.id).chain([self.reading.tokens[column]]);
        texts.map(|id| UnicodeWidthStr::width(&*self.token(id))).max().unwrap_or(0)
    }

    /// The text of a token, shortened.
    fn token(&self, id: u32) -> String {
        cut(&self.reading.texts.shown(id), TOKEN)
    }

    fn block(
        &self,
        f: &mut fmt::Formatter<'_>,
        grid: &LensGrid,
        columns: Range<usize>,
        widths: &[usize],
    ) -> fmt::Result {
        write!(f, "{:>ROW$}", "")?;
        for column in columns.clone() {
            let text = padded(&self.token(self.reading.tokens[column]), widths[column]);
            write!(f, "{:GAP$} {text} {:>NUMBER$}", "", format!("@{column}"))?;
        }
        writeln!(f)?;
        for (row, cells) in grid.rows.iter().enumerate() {
            let name = if row + 1 == grid.rows.len() { "out".to_owned() } else { row.to_string() };
            write!(f, "{name:>ROW$}")?;
            for column in columns.clone() {
                let output = grid.output().get(column);
                self.cell(f, cells.get(column), output, widths[column])?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn cell(
        &self,
        f: &mut fmt::Formatter<'_>,
        cell: Option<&LensCell>,
        output: Option<&LensCell>,
        width: usize,
    ) -> fmt::Result {
        let Some((cell, token)) = cell.and_then(|cell| Some((cell, cell.most_likely()?))) else {
            return write!(f, "{:GAP$} {:width$} {:NUMBER$}", "", "", "");
        };
        let value = self.measure.of(cell);
        let is_output = output.and_then(LensCell::most_likely).is_some_and(|output| output.id == token.id);
        let mark = if is_output { '*' } else { ' ' };
        let number = format!("{:>1$}{mark}", self.measure.short(value), NUMBER - 1);
        let text = format!(" {} {number}", padded(&self.token(token.id), width));
        write!(f, "{:GAP$}", "")?;
        self.coloured(f, &text, self.measure.step(value))
    }

    fn coloured(&self, f: &mut fmt::Formatter<'_>, text: &str, step: usize) -> fmt::Result {
        match self.colour {
            true => write!(f, "\u{1b}[38;5;{};48;5;{}m{text}\u{1b}[0m", LETTERS[step], BACKGROUNDS[step]),
            false => f.write_str(text),
        }
    }

    /// Says what is in a cell, and what the colours mean where there are any.
    fn legend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = "Columns: the prompt's tokens with their positions. Rows: residual positions, before each layer and at the \
                     output. Cells: the most likely next token; * where it is the output's.";
        wrapped(f, &format!("{lines} Number: {}.", self.measure.title()), self.width)?;
        if !self.colour {
            return Ok(());
        }
        for (step, words) in self.measure.steps().iter().enumerate() {
            self.coloured(f, &format!(" {words} "), step)?;
            f.write_str(" ")?;
        }
        writeln!(f)
    }
}

impl Display for LensChart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for grid in &self.reading.lenses {
            self.grid(f, grid)?;
            writeln!(f)?;
        }
        self.legend(f)
    }
}

/// A text in lines of at most `width` characters, where its words allow it.
fn wrapped(f: &mut fmt::Formatter<'_>, text: &str, width: usize) -> fmt::Result {
    let mut taken = 0;
    for word in text.split_whitespace() {
        let length = UnicodeWidthStr::width(word);
        if taken > 0 && taken + 1 + length > width {
            writeln!(f)?;
            taken = 0;
        } else if taken > 0 {
            f.write_str(" ")?;
            taken += 1;
        }
        f.write_str(word)?;
        taken += length;
    }
    writeln!(f)
}

/// A text of at most `most` columns, with an ellipsis where it is cut.
fn cut(text: &str, most: usize) -> String {
    if UnicodeWidthStr::width(text) <= most {
        return text.to_owned();
    }
    let mut taken = 1; // the ellipsis
    let fits = |c: &char| {
        taken += UnicodeWidthChar::width(*c).unwrap_or(0);
        taken <= most
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// A text padded with spaces to `width` columns.
fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(UnicodeWidthStr::width(text));
    format!("{text}{:missing$}", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::testing::reading;

    fn widest(text: &str) -> usize {
        text.lines().map(UnicodeWidthStr::width).max().unwrap()
    }

    #[test]
    fn columns_come_in_blocks_that_fit() {
        let reading = reading(12, 3, 2);
        for width in [30, 60, 100, 400] {
            let text = LensChart::new(&reading).with_width(width).to_string();
            assert!(widest(&text) <= width, "{width}: {text}");
            assert!(!text.contains('\u{1b}'), "no colour unless asked for");
            let n_blocks = text.lines().filter(|line| line.starts_with(" out")).count() / reading.lenses.len();
            assert!((n_blocks > 1) == (width < 400) && n_blocks > 0, "{width}: {n_blocks} blocks");
            (0..12).for_each(|column| assert!(text.contains(&format!("@{column}")), "{column}: {text}"));
        }
        let narrow = LensChart::new(&reading).with_width(1).to_string();
        assert!(narrow.contains("@11"), "one column at least");
    }

    #[test]
    fn colours_have_a_legend_and_every_measure_a_number() {
        let reading = reading(3, 2, 1);
        for measure in LensMeasure::ALL {
            let text = LensChart::new(&reading).with_measure(measure).with_colour(true).to_string();
            assert!(text.contains("\u{1b}[38;5;16;48;5;227m"), "{text}");
            assert!(measure.steps().iter().all(|words| text.contains(words.as_str())), "{text}");
            let one_line = text.replace('\n', " ");
            assert!(one_line.contains(measure.title()), "{text}");
            assert_eq!(text.matches("\u{1b}[38").count(), text.matches("\u{1b}[0m").count());
        }
    }

    #[test]
    fn wide_and_long_tokens_keep_their_columns() {
        assert_eq!(cut("abcdefghij", 9), "abcdefgh…");
        assert_eq!(
            (cut("東京都庁舎前", 9), UnicodeWidthStr::width(&*cut("東京都庁舎前", 9))),
            ("東京都庁…".to_owned(), 9)
        );
        assert_eq!(padded("東", 4), "東  ");
    }
}
