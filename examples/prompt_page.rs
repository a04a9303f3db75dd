//! What happens inside the model on one prompt? Prints what the logit lens reads at the last tokens, what the answer is made of, and
//! writes a page with the rest.

use std::env::args_os;

use anyhow::{Context, Result};
use stratigraph::prelude::*;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let prompt = tokenizer.prompt("The people of the United States of")?;
    let study = PromptStudy::new(&model, &prompt)?
        .with_token(tokenizer.token(" America")?)
        .against(tokenizer.token(" the")?)
        .with_corrupted(tokenizer.encode("The people of the great whale of")?)
        .with_texts(|id| tokenizer.token_text(id).unwrap_or_default());
    let reading = study.read()?;
    println!("{}", LensChart::new(&reading).with_measure(LensMeasure::OutputProbability));

    let parts = reading.attribution.as_ref().context("models/tiny gives its weights")?;
    println!("logit of ` America` minus that of ` the`: {:.2}", parts.difference);
    for (layer, it) in parts.layers.iter().enumerate() {
        println!("  layer {layer:>2}: attention {:+.2}, MLP {:+.2}", it.attention, it.mlp);
    }
    if let Some(directory) = args_os().nth(1) {
        PromptPage::new(&reading).write(directory)?;
    }
    Ok(())
}
