//! What does the residual stream know at which depth? Fits a linear probe before each layer for whether the next token
//! begins a word (starts with a space), and prints its accuracy on held-out windows.

use std::fs::File;

use anyhow::Result;
use stratigraph::prelude::*;
use stratigraph::probes::linear::{Examples, Logistic};

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let windows = tokenizer.windows(File::open("examples/data/sample.txt")?, 128, 24)?;
    let begins_word: Vec<bool> = tokenizer.token_texts()?.iter().map(|text| text.starts_with(' ')).collect();

    // Every fourth position but the last, which has no next token in its window.
    let chosen: Vec<usize> = (0..127).step_by(4).collect();
    let positions = SamplePositions::of_windows(vec![chosen.clone(); windows.n_sequences()]);
    let mut sampler = ActivationSampler::new(positions, [Hook::ResidPre]);
    observe(&model, &windows, 8, &mut [&mut sampler], |_| {})?;
    let next = (0..windows.n_sequences()).flat_map(|window| chosen.iter().map(move |at| (window, at + 1)));
    let answers: Vec<bool> = next.map(|(window, at)| begins_word[windows.sequence(window)[at] as usize]).collect();

    let n_train = answers.len() * 2 / 3; // whole windows
    for point in sampler.points() {
        let (mut train, mut test) = (Examples::new(model.d_model()), Examples::new(model.d_model()));
        let rows = sampler.values(point)?.chunks(model.d_model());
        for (index, (row, &answer)) in rows.zip(&answers).enumerate() {
            let part = if index < n_train { &mut train } else { &mut test };
            part.push(row.iter().map(|x| f64::from(*x)), answer);
        }
        let probe = Logistic::cross_validated(&train, &[10.0, 100.0, 1000.0], 3, 0);
        let right = probe.right(&test);
        println!(
            "{point}: accuracy {:.3} (always the commoner answer: {:.3}), l2 {}",
            right.share(),
            test.majority(),
            probe.l2()
        );
    }
    Ok(())
}
