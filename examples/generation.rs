//! What does a model write without one of its layers? Both texts, where they part, and how far the distributions of the next
//! token are from each other on the way; then under an edit that begins with the first generated token.

use anyhow::Result;
use stratigraph::prelude::*;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let prompt = tokenizer.encode("The king said to the queen")?;
    let generator = Generator::new(&model).with_text(&tokenizer).with_max_new_tokens(24);

    for layer in [1, 6, 10] {
        let without = LayerPlan::full(model.n_layers()).delete(layer)?;
        let comparison =
            generator.clone().with_intervention(without.into()).compare(std::slice::from_ref(&prompt))?.remove(0);
        println!("without layer {layer}: {:?}", comparison.changed.text.as_deref().unwrap_or_default());
        println!("  clean:         {:?}", comparison.clean.text.as_deref().unwrap_or_default());
        let at = comparison.parts_at().map_or("never".to_owned(), |at| format!("at token {at}"));
        println!("  they part {at}; mean KL {:.3} nats", comparison.mean_kl().unwrap_or(0.0));
    }

    // The prompt is read by the whole model; the last layers are skipped at what follows it.
    let skipped = (9..12).map(|slot| Edit::skip_layer(slot).with_positions(prompt.len()..));
    let skipped = skipped.fold(Intervention::none(12), Intervention::edit);
    let sampling = Sampling::at_temperature(0.8).with_top_p(0.95).with_seed(1);
    let generator = generator.with_intervention(skipped).with_sampling(sampling);
    print!("three layers skipped, drawn:");
    generator.run_with(&[prompt], &mut NoTap, |event| {
        print!("{}", event.text);
        true
    })?;
    println!();
    Ok(())
}
