//! How is a family of interventions of your own swept? Runs blocks of layers twice as a block, `i..j i..j`, over two axes
//! (its first layer and its length), and a hand-picked list of plans over a labelled one.

use std::fs::File;

use anyhow::Result;
use stratigraph::prelude::*;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let windows = tokenizer.windows(File::open("examples/data/sample.txt")?, 128, 4)?;

    // The last axis runs fastest. Blocks that would reach past the last layer are cut there.
    let blocks = Sweep::new("repeat_block", |context| {
        let n_layers = context.shape.n_layers;
        let axes = [Axis::layers(n_layers), Axis::labelled("length", ["1", "2", "4"])];
        let points = (0..n_layers).flat_map(|start| [1, 2, 4].map(|length| start..(start + length).min(n_layers)));
        SweepPoints::new(context, axes, points.map(|block| context.full().repeat_block(block, 2)))
    });
    let plans = ["12..0", "0..6-7-6-8..12", "0-(1+2)-3..12"].map(|text| (text.to_owned(), text));
    let by_hand = Sweep::over("by_hand", "plan", plans, |context, text| match *text {
        "12..0" => context.full().reverse(0..context.shape.n_layers),
        text => text.parse::<LayerPlan>(),
    });
    let findings = Study::new(&model).add(blocks).add(by_hand).run(&windows)?;

    let matrix = findings.matrix("repeat_block_nll")?;
    println!("loss of the unchanged model: {:.3} nats; with a block run twice:", findings.value("clean_nll")?.mean);
    for (start, row) in matrix.values.iter().enumerate() {
        print!("{:>8}:", matrix.rows.label(start));
        row.iter().enumerate().for_each(|(i, nll)| print!("  {} {nll:.3}", matrix.columns.label(i)));
        println!();
    }
    for intervention in findings.interventions().iter().filter(|it| it.sweep.as_deref() == Some("by_hand")) {
        println!(
            "{:<24} runs {:<28} {:.3} nats",
            intervention.name, intervention.text, intervention.metrics["nll"].mean
        );
    }
    Ok(())
}
