//! Where each head looks: [`section`].

use std::fmt::{self, Write};

use stratigraph_profile::prompt::{AttentionPatterns, PromptReading};

use super::shades::{colours, sequential};
use super::tables::{Head, Quoted, Short, Token, close_cells, close_row, open_cells, open_row};
use crate::page::{close_table, open_table};
use crate::text::Escaped;

/// Keys that the table of the last token has for each head.
const KEYS: usize = 3;

pub(super) fn section(f: &mut impl Write, reading: &PromptReading, found: &AttentionPatterns) -> fmt::Result {
    f.write_str("<section id=\"attention\">\n<h2>Where each head looks</h2>\n")?;
    f.write_str("<p>A cell is a head: how many hundredths of its attention go to tokens other than the first one, which most heads ")?;
    f.write_str("use as a sink, and the query itself, as a mean over queries.")?;
    f.write_str("<span class=\"scripted\" hidden> Choose a head to see its pattern, and a token to see where it looks from there.</span></p>\n")?;
    f.write_str("<div class=\"heads\"><div>\n")?;
    map(f, reading, found)?;
    f.write_str("</div>\n<div id=\"head\" hidden>\n<h3></h3>\n")?;
    writeln!(f, "<canvas width=\"1\" height=\"1\" role=\"img\" data-colours=\"{}\"></canvas>", colours())?;
    f.write_str("<p class=\"soft\">Queries from top to bottom, keys from left to right; dark blue is no attention, yellow all of it.</p>\n<p class=\"tokens\">")?;
    for &token in &reading.tokens {
        write!(f, "<button type=\"button\">{}</button>", Escaped(&reading.texts.shown(token)))?;
    }
    f.write_str("</p>\n</div></div>\n")?;
    from_the_last_token(f, reading, found)?;
    f.write_str("</section>\n")
}

fn map(f: &mut impl Write, reading: &PromptReading, found: &AttentionPatterns) -> fmt::Result {
    let head = Head { label: "Attention away from the first token and the query", row: "layer" };
    open_cells(f, &head, (0..found.n_heads).map(|head| format!("head {head}")))?;
    for (layer, heads) in found.patterns.iter().enumerate() {
        open_row(f, layer)?;
        for (head, digits) in heads.iter().enumerate() {
            let Shares { first, itself, previous } = Shares::of(found, layer, head);
            let elsewhere = (1.0 - first - itself).max(0.0);
            write!(f, "<td class={} title=\"first {}", sequential(elsewhere), Short(first))?;
            write!(f, ", itself {}, previous {}", Short(itself), Short(previous))?;
            if let Some((key, weight)) = strongest(found, layer, head).first() {
                write!(
                    f,
                    "; the last token most to {} {}",
                    Quoted(&reading.texts, reading.tokens[*key]),
                    Short(*weight)
                )?;
            }
            write!(f, "\" data-p={digits}>{:.0}</td>", 100.0 * elsewhere)?;
        }
        close_row(f)?;
    }
    close_cells(f)
}

/// Shares of a head's attention, means over the queries after the first one.
struct Shares {
    /// To the first token.
    first: f64,
    /// To the query itself.
    itself: f64,
    /// To the token before the query.
    previous: f64,
}

impl Shares {
    fn of(found: &AttentionPatterns, layer: usize, head: usize) -> Self {
        let mean = |key: fn(usize) -> usize| {
            let weights = (1..found.n_tokens).filter_map(|query| found.weight(layer, head, query, key(query)));
            weights.sum::<f64>() / found.n_tokens.saturating_sub(1).max(1) as f64
        };
        Self { first: mean(|_| 0), itself: mean(|query| query), previous: mean(|query| query - 1) }
    }
}

/// The keys that the last token attends to most, with their weights.
fn strongest(found: &AttentionPatterns, layer: usize, head: usize) -> Vec<(usize, f64)> {
    let Some(last) = found.n_tokens.checked_sub(1) else { return Vec::new() };
    let weights = (0..=last).filter_map(|key| Some((key, found.weight(layer, head, last, key)?)));
    let mut weights: Vec<_> = weights.collect();
    weights.sort_by(|a, b| b.1.total_cmp(&a.1));
    weights.truncate(KEYS);
    weights
}

fn from_the_last_token(f: &mut impl Write, reading: &PromptReading, found: &AttentionPatterns) -> fmt::Result {
    let columns = ["most to", "then to", "then to"];
    open_table(f, "Where every head looks from the last token", "layer, head", columns.into_iter())?;
    for layer in 0..found.patterns.len() {
        for head in 0..found.n_heads {
            open_row(f, format_args!("{layer}, {head}"))?;
            let keys = strongest(found, layer, head);
            for nth in 0..KEYS {
                match keys.get(nth) {
                    Some((key, weight)) => {
                        let token = Token(&reading.texts, reading.tokens[*key]);
                        write!(f, "<td>{token} <small>@{key}</small> {}</td>", Short(*weight))?;
                    }
                    None => f.write_str("<td></td>")?,
                }
            }
            close_row(f)?;
        }
    }
    close_table(f)
}
