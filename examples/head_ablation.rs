//! Which attention heads matter? Zeroes the output of every head, one at a time, and replaces it by its mean over the
//! corpus; prints how far the next-token distribution moves.

use std::fs::File;

use anyhow::Result;
use stratigraph::prelude::*;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let windows = tokenizer.windows(File::open("examples/data/sample.txt")?, 128, 4)?;

    let findings = Study::new(&model)
        .add(Sweep::heads(EditKind::Zero))
        .add(Sweep::heads(EditKind::Mean(MeanOver::All)))
        .run(&windows)?;
    let (zero, mean) = (findings.matrix("zero_heads_kl")?, findings.matrix("mean_heads_kl")?);
    println!("KL divergence from the unchanged model, {}, with the head zeroed (replaced by its mean)", zero.unit);
    print!("layer");
    (0..zero.columns.len()).for_each(|head| print!("{:>17}", zero.columns.label(head)));
    println!();
    for (layer, (zero, mean)) in zero.values.iter().zip(&mean.values).enumerate() {
        print!("{layer:>5}");
        zero.iter().zip(mean).for_each(|(zero, mean)| print!("   {zero:.4} ({mean:.4})"));
        println!();
    }
    Ok(())
}
