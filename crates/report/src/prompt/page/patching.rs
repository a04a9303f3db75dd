//! Maps of patching: [`section`].

use std::fmt::{self, Write};

use stratigraph_profile::prompt::{PatchingMaps, PromptReading};
use stratigraph_profile::{Axis, Matrix};

use super::shades::diverging;
use super::tables::{Head, Isolated, Quoted, Token, close_cells, close_row, number_cell, open_cells, open_row};
use crate::text::Escaped;

/// The maps in the order in which they are shown, and what is patched in each.
const TITLES: [(&str, &str); 4] = [
    ("patch_resid_pre_denoise", "The residual stream before a layer, at one position"),
    ("patch_z_heads_denoise", "One head, at all positions"),
    ("patch_attn_out_denoise", "What attention adds, at one position"),
    ("patch_mlp_out_denoise", "What the MLP adds, at one position"),
];

/// Maps that are open at first.
const OPEN: usize = 2;

pub(super) fn section(f: &mut impl Write, reading: &PromptReading, found: &PatchingMaps) -> fmt::Result {
    let texts = &reading.texts;
    let [answer, other] = found.answers.map(|id| Quoted(texts, id));
    let corrupted: String = found.corrupted.iter().skip(usize::from(reading.has_bos)).map(|&id| texts.of(id)).collect();
    f.write_str("<section id=\"patching\">\n<h2>What brings the answer back</h2>\n<p>The other prompt is ")?;
    write!(f, "‘{}’. One activation of this prompt is put into its run. ", Isolated(corrupted.trim()))?;
    write!(
        f,
        "1 means that the logit of {answer} minus that of {other} is as after this prompt ({:.2}), ",
        found.clean_difference
    )?;
    writeln!(f, "0 that it stays as after the other one ({:.2}).</p>", found.corrupted_difference)?;
    let mut maps: Vec<_> = found.maps.iter().collect();
    maps.sort_by_key(|(name, _)| TITLES.iter().position(|(known, _)| known == name).unwrap_or(TITLES.len()));
    for (nth, (name, map)) in maps.into_iter().enumerate() {
        let known = TITLES.iter().find(|(known, _)| known == name);
        let title = known.map_or_else(|| name.replace('_', " "), |(_, title)| (*title).to_owned());
        let open = if nth < OPEN { " open" } else { "" };
        writeln!(f, "<details{open}><summary>{}</summary>", Escaped(&title))?;
        self::map(f, reading, found, (&title, map))?;
        f.write_str("</details>\n")?;
    }
    f.write_str("</section>\n")
}

fn map(
    f: &mut impl Write,
    reading: &PromptReading,
    found: &PatchingMaps,
    (title, map): (&str, &Matrix),
) -> fmt::Result {
    let head = Head { label: title, row: "layer" };
    let is_of_heads = matches!(map.columns, Axis::Heads { .. });
    let column = |at: usize| match is_of_heads {
        true => format!("head {at}"),
        false => position(reading, found, at),
    };
    open_cells(f, &head, (0..map.columns.len()).map(column))?;
    for (layer, row) in map.values.iter().enumerate() {
        open_row(f, layer)?;
        row.iter().try_for_each(|&value| number_cell(f, &diverging(value, 1.0), value))?;
        close_row(f)?;
    }
    close_cells(f)
}

/// The token of this prompt at a position, and that of the other one where it is another.
fn position(reading: &PromptReading, found: &PatchingMaps, at: usize) -> String {
    let [mine, other] = [reading.tokens[at], found.corrupted[at]];
    let token = Token(&reading.texts, mine);
    match mine == other {
        true => format!("{token} <small>@{at}</small>"),
        false => format!("{token} ← {} <small>@{at}</small>", Token(&reading.texts, other)),
    }
}
