//! When does a prediction take shape? Reads the residual stream before each layer out as if the model ended there, and
//! prints the most likely next token and its probability at the last positions of a prompt.

use anyhow::Result;
use stratigraph::prelude::*;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let prompt = tokenizer.prompt("The people of the United States of America")?;
    let cache = model.run_with_cache(&prompt, ActivationCache::at([Hook::ResidPre, Hook::ResidPost]))?;

    print!("{:>8}", "before");
    for &id in prompt.sequence(0) {
        print!("  {:>14}", format!("{:?}", tokenizer.decode(&[id])?));
    }
    println!();
    let readout = Readout::new(&model);
    for position in 0..=model.n_layers() {
        let resid = cache.tensor(HookPoint::of_residual(position, model.n_layers()))?; // [1, pos, d_model]
        print!("{:>8}", if position < model.n_layers() { format!("layer {position}") } else { "end".to_owned() });
        for tokens in readout.top_k(resid.squeeze_dim(0), 1)? {
            let text = format!("{:?}", tokenizer.decode(&[tokens[0].id])?);
            print!("  {text:>9} {:>3.0}%", 100.0 * tokens[0].log_prob.exp());
        }
        println!();
    }
    Ok(())
}
