//! Which three layers can a model do without, and what does that cost on text that the search has not seen? A beam search by the
//! loss, beside the three layers that block influence would remove.

use anyhow::{Context, Result};
use stratigraph::prelude::*;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let windows = Corpus::open("examples/data/sample.txt")?.windows(&tokenizer, Windows::of(64).count(16).seed(0))?;

    let removals = Criterion::BlockInfluence.removals(&StudyContext::new(&model, &windows, 0))?;
    let by_influence: LayerPlan = (0..model.n_layers()).filter(|layer| !removals[3].contains(layer)).collect();

    let mut loss = ModelObjective::new(&model, &windows, "nll")?;
    let options = SearchOptions::removing(3, Operator::Delete).with_method(Method::Beam { width: 3 });
    let setup = SearchSetup::new(&loss, options).with_compared([by_influence.into()]);
    let record = SearchRun::new(setup).run(&mut loss)?;

    let validated = record.validated.as_ref().context("a search that has ended is validated")?;
    println!("best plan: {} of {} tried", record.state.best(), record.state.n_tried);
    for it in &validated.comparisons {
        let [low, high] = it.interval;
        println!("against {}: {:+.3} nats, 95 % {low:+.3} to {high:+.3}, {:?}", it.with, it.difference, it.verdict);
    }
    Ok(())
}
