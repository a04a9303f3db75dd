//! Which activations carry an answer? Two prompts differ in two words. The corrupted one runs with the residual stream of one
//! layer and position taken from the clean one. Where the clean answer comes back, the activation carries it.

use anyhow::Result;
use stratigraph::prelude::*;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let clean = tokenizer.prompt("The people of the United States of")?;
    let corrupted = tokenizer.prompt("The people of the great whale of")?;
    let answers = LogitDifference::new(tokenizer.token(" America")?, tokenizer.token(" the")?);

    let cache = model.run_with_cache(&clean, ActivationCache::at([Hook::ResidPre]))?;
    let findings = Study::new(&model)
        .metric(answers.at_last_position())
        .add(Sweep::patch(Hook::ResidPre, &cache)?)
        .run(&corrupted)?;

    let unpatched = findings.value("clean_logit_difference")?.mean;
    println!(
        "logit difference `America` - `the` of the corrupted prompt: {unpatched:.2}; with hook_resid_pre patched:"
    );
    print!("{:>6}", "layer");
    for &id in corrupted.sequence(0) {
        print!("{:>10}", tokenizer.decode(&[id])?);
    }
    println!();
    for (layer, row) in findings.matrix("patch_resid_pre_logit_difference")?.values.iter().enumerate() {
        print!("{layer:>6}");
        row.iter().for_each(|difference| print!("{difference:>10.2}"));
        println!();
    }
    Ok(())
}
