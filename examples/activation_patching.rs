//! Which activations carry an answer? Two prompts differ in two words. The corrupted one runs with the residual stream of one
//! layer and position taken from the clean one. Where the clean answer comes back, the activation carries it.

use anyhow::Result;
use stratigraph::prelude::*;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let (clean, corrupted) = ("The people of the United States of", "The people of the great whale of");
    let pairs = PromptPairs::new(vec![PromptPair::new(clean, corrupted, " America", " the")]);
    let patching = ActivationPatching::new(pairs.encode(&model, |text| tokenizer.encode(text))?);

    let windows = tokenizer.prompt(clean)?;
    let findings = Study::new(&model).add(patching).run(&windows)?;
    let [with, without] = ["patch_clean_logit_difference", "patch_corrupted_logit_difference"];
    println!(
        "logit of `America` minus that of `the`: {:.2} after the clean prompt, {:.2} after the corrupted one",
        findings.value(with)?.mean,
        findings.value(without)?.mean
    );
    println!("the part of it that comes back with hook_resid_pre of the clean run at one layer and position:");
    print!("{:>6}", "layer");
    for &id in windows.sequence(0) {
        print!("{:>10}", tokenizer.decode(&[id])?);
    }
    println!();
    for (layer, row) in findings.matrix("patch_resid_pre_denoise")?.values.iter().enumerate() {
        print!("{layer:>6}");
        row.iter().for_each(|restored| print!("{restored:>10.2}"));
        println!();
    }
    Ok(())
}
