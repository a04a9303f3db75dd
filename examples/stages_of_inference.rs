//! Where do a model's stages of inference lie? Does to the model in the box what the paper does with every model, prints
//! what each layer does and the stages that the curves show, and writes a report if a directory is named:
//!
//! ```sh
//! cargo run --release --example stages_of_inference -- OUT_DIR
//! ```

use std::fs::File;
use std::path::Path;

use anyhow::Result;
use stratigraph::prelude::*;
use stratigraph::probes::lexical::{WicPair, WicSplit, WicTokens};
use stratigraph::report::{LayerTable, TerminalChart};

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let windows = tokenizer.windows(File::open("examples/data/sample.txt")?, 128, 32)?;

    let study = Study::paper(&model).add(word_in_context(&tokenizer)?).with_names("tiny", "sample.txt");
    let profile = study.run(&windows)?.into_profile();
    println!("{}\n{}", LayerTable::new(&profile), TerminalChart::new(&profile));
    if let Some(out) = std::env::args_os().nth(1) {
        for path in Report::new(&profile).write(out)? {
            println!("wrote {}", path.display());
        }
    }
    Ok(())
}

/// Probes for the sense of a word, the sign of feature engineering.
fn word_in_context(tokenizer: &Tokenizer) -> Result<WordInContext> {
    let tokens = |part: &str| -> Result<WicTokens> {
        let pairs = WicPair::read(Path::new("examples/data/wic"), part)?;
        WicTokens::new(&pairs, |text| Ok(tokenizer.encode_with_offsets(text)?))
    };
    Ok(WordInContext::new(WicSplit { train: tokens("train")?, test: tokens("dev")? }))
}
