//! Which layers need the nearest tokens? Hides the five keys before each query from one layer at a time, and for
//! comparison all keys that are farther away.

use std::fs::File;

use anyhow::Result;
use stratigraph::prelude::*;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let windows = tokenizer.windows(File::open("examples/data/sample.txt")?, 128, 4)?;

    // A masked score is -inf before the softmax, so the other keys share the attention. A query always sees itself.
    let near = Sweep::knock_out(1..=5);
    let far = Sweep::each_layer("hide_far", |context, layer| Ok(Edit::mask_distances(layer, 6..=context.seq_len - 1)));
    let findings = Study::new(&model).add(near).add(far).run(&windows)?;

    let (near, far) = (findings.curve("knock_back_5_kl")?, findings.curve("hide_far_kl")?);
    println!("KL divergence from the unchanged model, {}", near.unit);
    println!("{:>8}{:>24}{:>24}", "", "distances 1..=5 hidden", "6 and more hidden");
    for (layer, (near_kl, far_kl)) in near.estimates().zip(far.estimates()).enumerate() {
        let with_sem = |kl: Estimate| format!("{:.4} +- {:.4}", kl.mean, kl.sem.unwrap_or(f64::NAN));
        println!("{:>8}{:>24}{:>24}", near.axis.label(layer), with_sem(near_kl), with_sem(far_kl));
    }
    Ok(())
}
