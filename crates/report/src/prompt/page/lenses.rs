//! The grids of lenses: [`section`].

use std::fmt::{self, Write};

use stratigraph_profile::prompt::{LensCell, LensGrid, PromptReading};

use super::tables::{Head, Percent, Token, close_cells, close_row, open_cells, open_row, token_columns};
use crate::prompt::LensMeasure;
use crate::text::{Escaped, Number};

pub(super) fn section(f: &mut impl Write, reading: &PromptReading) -> fmt::Result {
    if reading.lenses.is_empty() {
        return Ok(());
    }
    f.write_str("<section id=\"lenses\">\n<h2>What each layer would predict</h2>\n")?;
    f.write_str("<p>A lens reads the residual stream before a layer as if the model ended there. A cell has the token that is most ")?;
    f.write_str(
        "likely to follow the token of its column. It is bold where it is the model's own prediction, which the ",
    )?;
    f.write_str("last row shows. Hover over a cell for the next most likely tokens and all numbers.</p>\n")?;
    legend(f)?;
    for (nth, grid) in reading.lenses.iter().enumerate() {
        let (open, title) = (if nth == 0 { " open" } else { "" }, Escaped(&grid.title));
        writeln!(f, "<details{open}><summary>{title}</summary>")?;
        if let Some(origin) = &grid.origin {
            writeln!(f, "<p class=\"soft within\">The lens was {}.</p>", Escaped(origin))?;
        }
        table(f, reading, grid)?;
        f.write_str("</details>\n")?;
    }
    f.write_str("</section>\n")
}

/// What the colours of cells mean, with a choice of the number that gives them, which only the script can follow.
fn legend(f: &mut impl Write) -> fmt::Result {
    f.write_str("<p id=\"legend\">Colour: <span class=\"chosen\">probability of the most likely token</span>")?;
    f.write_str("<select id=\"measure\" aria-label=\"the number that colours cells\" hidden>")?;
    for measure in LensMeasure::ALL {
        let steps = measure.steps().join("|");
        write!(f, "<option data-steps=\"{}\">{}</option>", Escaped(&steps), measure.title())?;
    }
    f.write_str("</select> ")?;
    for (step, words) in LensMeasure::Probability.steps().iter().enumerate() {
        write!(f, "<span class=\"key\"><i class=\"s{step}\"></i><b>{}</b></span> ", Escaped(words))?;
    }
    f.write_str("</p>\n")
}

fn table(f: &mut impl Write, reading: &PromptReading, grid: &LensGrid) -> fmt::Result {
    let head = Head { label: &grid.title, row: "before layer" };
    open_cells(f, &head, token_columns(&reading.texts, &reading.tokens, 0))?;
    let last = grid.rows.len().saturating_sub(1);
    for (row, cells) in grid.rows.iter().enumerate() {
        match row == last {
            true => open_row(f, "output")?,
            false => open_row(f, row)?,
        }
        if cells.is_empty() {
            write!(f, "<td class=none colspan={}>the lens has no map here</td>", reading.tokens.len())?;
        }
        for (cell, output) in cells.iter().zip(grid.output()) {
            self::cell(f, reading, cell, output)?;
        }
        close_row(f)?;
    }
    close_cells(f)
}

fn cell(f: &mut impl Write, reading: &PromptReading, cell: &LensCell, output: &LensCell) -> fmt::Result {
    let Some(top) = cell.most_likely() else { return f.write_str("<td class=none></td>") };
    let is_output = output.most_likely().is_some_and(|output| output.id == top.id);
    // The step of each measure, for the script.
    let steps = LensMeasure::ALL.map(|measure| measure.step(measure.of(cell)).to_string()).concat();
    let class = format!("s{}{}", LensMeasure::Probability.step(top.probability), if is_output { " o" } else { "" });
    write!(f, "<td class=\"{class}\" data-s={steps} title=\"")?;
    for (nth, token) in cell.top.iter().enumerate() {
        let comma = if nth == 0 { "" } else { ", " };
        write!(f, "{comma}{} {}", Token(&reading.texts, token.id), Percent(token.probability))?;
    }
    let (entropy, kl) = (Number(cell.entropy_bits), Number(cell.kl));
    write!(f, "\nentropy {entropy} bits, KL {kl} nats, output's token: rank {}", cell.output_rank)?;
    write!(f, ", {}\">{}</td>", Percent(cell.output_probability), Token(&reading.texts, top.id))
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::prompt::LikelyToken;

    use super::*;
    use crate::prompt::testing::reading;

    #[test]
    fn a_cell_has_the_steps_of_numbers_that_are_not_rounded() {
        let mut reading = reading(2, 1, 1);
        let cell = LensCell::new(vec![LikelyToken::new(7, 0.0997)]).with_entropy_bits(1.00001).with_output(3, 0.0997);
        reading.lenses[0].rows[0][0] = cell;
        let mut html = String::new();
        section(&mut html, &reading).unwrap();
        assert!(html.contains("<td class=\"s1\" data-s=14541 title=\"") && html.contains(" 10%\n"), "{html}");
    }
}
