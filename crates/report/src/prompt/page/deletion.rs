//! What the deletion of each layer does after each token: [`section`].

use std::fmt::{self, Write};

use stratigraph_profile::prompt::{DeletionGrid, PromptReading};

use super::shades::{diverging, sequential};
use super::tables::{Head, close_cells, close_row, largest, number_cell, open_cells, open_row, token_columns};

pub(super) fn section(f: &mut impl Write, reading: &PromptReading, found: &DeletionGrid) -> fmt::Result {
    f.write_str("<section id=\"deletion\">\n<h2>What deleting a layer does to every token</h2>\n")?;
    f.write_str("<p>Each row is a run without one layer. The first table has the KL divergence of the prediction after a token from ")?;
    f.write_str("that of the unchanged model, in nats; the second how much the loss of each next token of the prompt rises, in nats: ")?;
    f.write_str("red where the deletion hurts, blue where it helps.</p>\n")?;
    let most = largest(found.kl.iter().flatten());
    // Small divergences keep different colours.
    let class = |value: f64| sequential((value / most.max(f64::MIN_POSITIVE)).max(0.0).sqrt());
    f.write_str("<details open><summary>KL divergence after each token</summary>\n")?;
    table(f, "KL divergence after each token", (&found.kl, token_columns(&reading.texts, &reading.tokens, 0)), class)?;
    f.write_str("</details>\n<details><summary>Rise of the loss of each next token</summary>\n")?;
    let most = largest(found.loss_change.iter().flatten());
    let next = token_columns(&reading.texts, &reading.tokens[1.min(reading.tokens.len())..], 1);
    table(f, "Rise of the loss of each next token", (&found.loss_change, next), |value| diverging(value, most))?;
    f.write_str("</details>\n</section>\n")
}

/// Rows of layers, with their means before the columns of tokens.
fn table(
    f: &mut impl Write,
    label: &str,
    (values, columns): (&[Vec<f64>], impl Iterator<Item = String>),
    class: impl Fn(f64) -> String,
) -> fmt::Result {
    let head = Head { label, row: "without layer" };
    open_cells(f, &head, std::iter::once("mean".to_owned()).chain(columns))?;
    for (layer, row) in values.iter().enumerate() {
        open_row(f, layer)?;
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        std::iter::once(&mean).chain(row).try_for_each(|&value| number_cell(f, &class(value), value))?;
        close_row(f)?;
    }
    close_cells(f)
}
