//! What raises the logit of one token over another's: [`section`].

use std::fmt::{self, Write};

use stratigraph_profile::prompt::{DifferenceAttribution, PromptReading};

use super::shades::diverging;
use super::tables::{Head, Quoted, Short, bar, close_cells, close_row, largest, number_cell, open_cells, open_row};
use crate::page::{close_table, open_table};
use crate::text::{Escaped, Number};

/// Parts that have a bar.
const BARS: usize = 16;

pub(super) fn section(f: &mut impl Write, reading: &PromptReading, found: &DifferenceAttribution) -> fmt::Result {
    let texts = &reading.texts;
    let [token, against] = found.tokens.map(|id| Quoted(texts, id));
    f.write_str("<section id=\"attribution\">\n<h2>What writes the answer</h2>\n<p>")?;
    let (after, position) = (Quoted(texts, reading.tokens[found.position]), found.position);
    write!(
        f,
        "After {after} (@{position}) the logit of {token} minus that of {against} is <b>{:.2}</b>. ",
        found.difference
    )?;
    f.write_str("It is the sum of what the embedding, the biases, each attention and each MLP add along the direct path to the ")?;
    f.write_str(
        "unembedding, divided by the final norm's scale. A part whose output only later layers use adds nothing here. ",
    )?;
    f.write_str("Red parts raise it, blue parts lower it.</p>\n")?;
    largest_parts(f, found)?;
    layers(f, found)?;
    neurons(f, found)?;
    f.write_str("</section>\n")
}

/// Every part that is added once: the embedding, the biases, heads, and MLPs.
fn parts(found: &DifferenceAttribution) -> Vec<(String, f64)> {
    let mut parts = vec![("embedding".to_owned(), found.embedding), ("final biases".to_owned(), found.bias)];
    for (layer, it) in found.layers.iter().enumerate() {
        if it.heads.is_empty() {
            parts.push((format!("attention of layer {layer}"), it.attention));
        }
        parts
            .extend(it.heads.iter().enumerate().map(|(head, &logits)| (format!("layer {layer}, head {head}"), logits)));
        if it.attention_bias != 0.0 {
            parts.push((format!("attention's bias of layer {layer}"), it.attention_bias));
        }
        parts.push((format!("MLP of layer {layer}"), it.mlp));
    }
    parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    parts
}

fn largest_parts(f: &mut impl Write, found: &DifferenceAttribution) -> fmt::Result {
    let parts = parts(found);
    let rest: f64 = parts.iter().skip(BARS).map(|part| part.1).sum();
    let n_others = parts.len().saturating_sub(BARS);
    write!(f, "<h3>The {} largest parts</h3>\n<table class=\"bars\"><tbody>\n", parts.len().min(BARS))?;
    let rest = (n_others > 0).then(|| (format!("the other {n_others} together"), rest));
    let rows: Vec<_> = parts.into_iter().take(BARS).chain(rest).collect();
    let most = largest(rows.iter().map(|row| &row.1));
    for (name, logits) in &rows {
        bar_row(f, name, *logits, most)?;
    }
    f.write_str("</tbody></table>\n")
}

fn bar_row(f: &mut impl Write, name: &str, logits: f64, most: f64) -> fmt::Result {
    open_row(f, Escaped(name))?;
    bar(f, logits, most)?;
    write!(f, "<td title={logits}>{}</td>", Short(logits))?;
    close_row(f)
}

/// Attention and MLP of each layer, and its heads.
fn layers(f: &mut impl Write, found: &DifferenceAttribution) -> fmt::Result {
    let n_heads = found.layers.iter().map(|layer| layer.heads.len()).max().unwrap_or(0);
    let sublayers = found.layers.iter().flat_map(|layer| [&layer.attention, &layer.mlp]);
    let most = largest(sublayers.chain(found.layers.iter().flat_map(|layer| &layer.heads)));
    f.write_str("<h3>Every layer</h3>\n")?;
    let columns = ["attention".to_owned(), "MLP".to_owned()].into_iter();
    let head = Head { label: "What each layer adds to the logit difference", row: "layer" };
    open_cells(f, &head, columns.chain((0..n_heads).map(|head| format!("head {head}"))))?;
    for (layer, it) in found.layers.iter().enumerate() {
        open_row(f, layer)?;
        let values = [&it.attention, &it.mlp].into_iter().chain(&it.heads);
        values.into_iter().try_for_each(|&value| number_cell(f, &diverging(value, most), value))?;
        close_row(f)?;
    }
    close_cells(f)
}

fn neurons(f: &mut impl Write, found: &DifferenceAttribution) -> fmt::Result {
    if found.neurons.is_empty() {
        return Ok(());
    }
    open_table(f, "The neurons that write it most", "layer, neuron", ["", "logits"].into_iter())?;
    let most = largest(found.neurons.iter().map(|neuron| &neuron.logits));
    for it in &found.neurons {
        open_row(f, format_args!("{}, {}", it.layer, it.neuron))?;
        bar(f, it.logits, most)?;
        write!(f, "<td title=\"{}\">{}</td>", it.logits, Number(it.logits))?;
        close_row(f)?;
    }
    close_table(f)
}
