//! Where each head looks: [`section`].

use std::fmt::{self, Write};
use std::ops::Range;

use stratigraph_profile::prompt::{AttentionPatterns, PromptReading};

use super::shades::{colours, sequential};
use super::tables::{Head, Isolated, Quoted, Short, Token, close_cells, close_row, open_cells, open_row};
use crate::page::{close_table, open_table};

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
        write!(f, "<button type=\"button\">{}</button>", Isolated(&reading.texts.shown(token)))?;
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
            let Shares { first, itself, previous, elsewhere } = Shares::of(found, layer, head);
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
    /// To all tokens but the first one and the query. A head may also attend to nothing, in models with learned sinks.
    elsewhere: f64,
}

impl Shares {
    fn of(found: &AttentionPatterns, layer: usize, head: usize) -> Self {
        let mean = |keys: fn(usize) -> Range<usize>| {
            let pairs = (1..found.n_tokens).flat_map(|query| keys(query).map(move |key| (query, key)));
            let weights = pairs.filter_map(|(query, key)| found.weight(layer, head, query, key));
            // The sum of nothing is -0.
            (0.0 + weights.sum::<f64>()) / found.n_tokens.saturating_sub(1).max(1) as f64
        };
        Self {
            first: mean(|_| 0..1),
            itself: mean(|query| query..query + 1),
            previous: mean(|query| query - 1..query),
            elsewhere: mean(|query| 1..query).min(1.0), // the weights are rounded
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_to_nothing_is_not_attention_elsewhere() {
        let mut patterns = AttentionPatterns::new(3, 1);
        patterns.push_layer([&[0.25, 0.0, 0.0, 0.25, 0.25, 0.0, 0.0, 0.25, 0.0][..]]);
        let Shares { first, itself, previous, elsewhere } = Shares::of(&patterns, 0, 0);
        let is_near = |found: f64, expected: f64| (found - expected).abs() < 0.01;
        assert!(is_near(first, 0.125) && is_near(itself, 0.125), "{first} {itself}");
        assert!(is_near(previous, 0.25) && is_near(elsewhere, 0.125), "{previous} {elsewhere}");
        let mut alone = AttentionPatterns::new(1, 1);
        alone.push_layer([&[1.0][..]]);
        let elsewhere = Shares::of(&alone, 0, 0).elsewhere;
        assert_eq!(format!("{elsewhere:.0}"), "0", "no query is after the first token");
    }
}
