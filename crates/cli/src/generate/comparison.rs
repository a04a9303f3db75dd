//! `generate --compare`: what an intervention makes of each text.

use anyhow::Result;
use stratigraph_generate::{ComparedToken, Comparison, Generator};
use stratigraph_models::Tokenizer;

use super::columns::side_by_side;
use super::shown::printable;
use crate::{output, width};

/// The narrowest line of two texts.
const NARROWEST: usize = 20;
/// The longest bar of a KL divergence.
const BAR: f64 = 30.0;

/// Compares the continuations of the prompts.
pub fn run(generator: &Generator, prompts: &[Vec<u32>], tokenizer: &Tokenizer) -> Result<()> {
    for (index, comparison) in generator.compare(prompts)?.iter().enumerate() {
        if prompts.len() > 1 {
            output::line(format_args!("prompt {index}:"))?;
        }
        output::line(told(comparison, tokenizer)?)?;
    }
    Ok(())
}

fn told(comparison: &Comparison, tokenizer: &Tokenizer) -> Result<String> {
    let [clean, changed] = [&comparison.clean, &comparison.changed].map(|it| it.text.as_deref().unwrap_or_default());
    let texts =
        side_by_side([&printable(clean), &printable(changed)], ["clean", "changed"], output::width().max(NARROWEST));
    let parting = match comparison.parts_at() {
        None => "the texts are equal".to_owned(),
        Some(at) => {
            let token = |tokens: &[u32]| match tokens.get(at) {
                Some(id) => quoted(tokenizer, *id),
                None => Ok("its end".to_owned()),
            };
            let (clean, changed) = (token(&comparison.clean.tokens)?, token(&comparison.changed.tokens)?);
            format!("the texts part at token {at}: {clean} clean, {changed} changed")
        }
    };
    let Some(mean) = comparison.mean_kl() else { return Ok(format!("{texts}\n\n{parting}")) };
    let rows = rows(&comparison.along, tokenizer)?;
    Ok(format!(
        "{texts}\n\n{parting}\nKL divergence along the clean text (clean || changed): mean {mean:.3} nats\n\n{rows}\n"
    ))
}

/// A line for each token of the clean text.
fn rows(along: &[ComparedToken], tokenizer: &Tokenizer) -> Result<String> {
    let largest = along.iter().map(|token| token.kl).fold(f64::MIN_POSITIVE, f64::max);
    let cells = along.iter().map(|token| Ok((quoted(tokenizer, token.token)?, quoted(tokenizer, token.changed_top1)?)));
    let cells = cells.collect::<Result<Vec<_>>>()?;
    let widest = |title: &str, of: fn(&(String, String)) -> &String| {
        cells.iter().map(|cell| width::columns(of(cell))).fold(title.len(), usize::max)
    };
    let (first, second) = (widest("clean token", |cell| &cell.0), widest("changed top-1", |cell| &cell.1));
    let mut lines = vec![format!("token  {:first$}  {:second$}  KL (nats)", "clean token", "changed top-1")];
    for (at, (token, (clean, changed))) in along.iter().zip(&cells).enumerate() {
        let bar = "#".repeat((token.kl / largest * BAR).round() as usize);
        let (clean, changed) = (width::padded(clean, first), width::padded(changed, second));
        lines.push(format!("{at:5}  {clean}  {changed}  {:9.4}  {bar}", token.kl).trim_end().to_owned());
    }
    Ok(lines.join("\n"))
}

/// The text of a token between quotation marks, on one line.
fn quoted(tokenizer: &Tokenizer, id: u32) -> Result<String> {
    Ok(format!("{:?}", tokenizer.decode(&[id])?))
}
