//! Can a direction in the residual stream change what a model writes about, and what does it cost? Adds the difference between
//! the activations of some prompts to one layer, and prints for several strengths how likely a token becomes after a prompt,
//! and what the model loses on a text.

use anyhow::Result;
use stratigraph::prelude::*;

const LAYER: usize = 6;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let prompts = |texts: &[&str]| texts.iter().map(|text| tokenizer.prompt(text)).collect::<Result<Vec<_>, _>>();
    let windows = tokenizer.windows(std::fs::File::open("examples/data/sample.txt")?, 64, 16)?;

    let toward = prompts(&["the great white whale", "the sea and the white whale"])?;
    let away = prompts(&["the United States", "the people of the United States"])?;
    let direction = SteeringVector::between(&model, Hook::ResidPre.at(LAYER), &toward, &away)?;
    let target = SteeringTarget::new(prompts(&["We must all look after the"])?, [tokenizer.token(" whale")?]);
    let steering = Steering::new(direction).with_strengths([0.0, 0.5, 1.0, 1.5]).with_target(target);

    let findings = Study::new(&model).add(steering).run(&windows)?;
    let (target, loss) = (findings.curve("steer_target")?, findings.curve("steer_nll")?);
    println!("steered from `States` to `whale` at layer {LAYER}; ` whale` after `We must all look after the`:");
    for (at, log_prob) in target.mean.iter().enumerate() {
        let (strength, percent, nats) = (target.axis.tick(at), 100.0 * log_prob.exp(), loss.mean[at]);
        println!("{strength:>5} x direction: probability {percent:>6.3} %, loss on the text {nats:.3} nats");
    }
    Ok(())
}
