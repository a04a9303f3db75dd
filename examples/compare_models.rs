//! How far is a changed model from the original? Prunes the layers that deletion says cost least, greedily, and studies
//! each pruned model against the whole one: its next-token distributions are the clean ones.

use std::fs::File;

use anyhow::Result;
use stratigraph::prelude::*;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let windows = tokenizer.windows(File::open("examples/data/sample.txt")?, 128, 4)?;

    let mut plan = LayerPlan::full(model.n_layers());
    println!("{:<28}{:>10}{:>18}{:>12}", "layers", "KL, nats", "top-1 agreement", "loss, nats");
    loop {
        let pruned = PlannedModel::new(&model, &plan)?;
        let findings = Study::new(&pruned).against(&model).add(Sweep::delete()).run(&windows)?;
        let [kl, agreement, loss] =
            ["kl", "top1_agreement", "nll"].map(|name| findings.value(&format!("clean_{name}")));
        println!("{:<28}{:>10.4}{:>18.3}{:>12.3}", plan.to_string(), kl?.mean, agreement?.mean, loss?.mean);
        if plan.steps().len() == model.n_layers() - 3 {
            return Ok(());
        }
        let cost = &findings.curve("delete_kl")?.mean; // from the whole model, by slot of the pruned one
        let cheapest = (0..cost.len()).min_by(|a, b| cost[*a].total_cmp(&cost[*b])).expect("there are layers");
        plan = plan.delete(cheapest)?;
    }
}
