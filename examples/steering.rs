//! Can a direction in the residual stream change what a model writes about? Adds the difference between the activations of
//! two prompts to one layer, and prints the most likely next tokens for several strengths.

use anyhow::Result;
use stratigraph::prelude::*;

const LAYER: usize = 6;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);

    // The residual stream entering the layer at the last token of a prompt, [1, 1, d_model].
    let point = Hook::ResidPre.at(LAYER);
    let last = |text: &str| -> Result<Tensor<3>> {
        let prompt = tokenizer.prompt(text)?;
        let resid = model.run_with_cache(&prompt, ActivationCache::at([point]))?.tensor(point)?;
        Ok(resid.narrow(1, prompt.seq_len() - 1, 1))
    };
    let direction = EditValues::from(last("the great white whale")? - last("the United States")?);

    let prompt = tokenizer.prompt("We must all look after the")?;
    let readout = Readout::new(&model);
    println!("most likely tokens behind `We must all look after the`, steered from `States` to `whale`:");
    for strength in [0.0, 0.5, 1.0, 1.5] {
        let steer = Edit::add(point, direction.scaled(strength)).with_positions(1..);
        let resid = model.run_with_edits(&prompt, &[steer])?; // [1, pos, d_model]
        let end = resid.narrow(1, prompt.seq_len() - 1, 1).squeeze_dim(0);
        print!("{strength:>5} x direction:");
        for token in &readout.top_k(end, 6)?[0] {
            print!("{:>10} {:>2.0}%", tokenizer.decode(&[token.id])?, 100.0 * token.log_prob.exp());
        }
        println!();
    }
    Ok(())
}
