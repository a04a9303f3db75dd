//! Do models of different families have the same stages? Trains one small model of a family, to be studied and compared.
//!
//! `cargo run --release -p stratigraph-train --example train_family -- TEXT_DIR_OR_FILE OUT_DIR FAMILY LAYERS SEED`, where the
//! family is `gpt2`, `neox` or `llama`; the same command goes on with a run that was stopped.

use anyhow::{Context, Result, bail};
use stratigraph_study::Backend;
use stratigraph_train::{Texts, TrainedShape, Trainer, TrainingConfig, Trigram};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [text, out, family, n_layers, seed] = &arguments[..] else {
        bail!(
            "give a text file or a directory of them, a directory to write, a family, the number of layers and a seed"
        )
    };
    let family = TrainedShape::ALL.into_iter().find(|it| it.name() == family);
    let config = TrainingConfig::default()
        .with_family(family.context("the family is gpt2, neox or llama")?)
        .with_seed(seed.parse().context("the seed is a number")?)
        .with_shape(n_layers.parse().context("the number of layers is a number")?, 64, 4)
        .with_d_vocab(1024)
        .with_n_ctx(64)
        .with_batch_size(24)
        .with_steps(600, 50)
        .with_checkpoint_every(200);
    let d_vocab = config.d_vocab;
    let mut trainer = Trainer::new(config, &Texts::read(&[text])?, out, &Backend::Flex.device()?)?.on_progress(|it| {
        if let Some(point) = it.recorded {
            println!("{:>4} steps: loss {:.4}, held out {:.4}", it.step, point.train_loss, point.held_out_loss);
        }
    });
    let corpus = trainer.corpus();
    let trigram = Trigram::count(corpus.train(), d_vocab).loss(corpus.held_out());
    println!("{} parameters, {} tokens; a trigram model: {trigram:.4}", trainer.n_params(), corpus.train().len());
    trainer.run()?;
    Ok(())
}
