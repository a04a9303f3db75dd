//! How is a model trained that can then be studied? Trains a small language model of GPT-2's shape on text files and
//! writes it as a Hugging Face directory. `models/tiny/README.md` has the text of the model in this repository.
//!
//! `cargo run --release -p stratigraph-train --example train_tiny -- TEXT_DIR_OR_FILE OUT_DIR`; the same command goes on
//! with a run that was stopped.

use std::path::PathBuf;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use stratigraph_models::Checkpoint;
use stratigraph_study::Backend;
use stratigraph_train::{Texts, Trainer, TrainingConfig, TrainingProgress, Trigram};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [text, out] = &arguments[..] else {
        bail!("give a text file or a directory of them, and a directory to write")
    };
    let (config, device) = (TrainingConfig::default(), Backend::Flex.device()?);
    let (d_vocab, n_steps) = (config.d_vocab, config.n_steps as u64);
    // At 0, 0.3, 1, 3, 10 and 30 % of the training, to see when each signature of a stage appears.
    let kept = [0, 3, 10, 30, 100, 300].map(|per_mille| config.n_steps * per_mille / 1000);
    let config = config.with_keep(kept);

    let template = "{bar:30} {pos}/{len} steps, {msg}, {eta} left";
    let bar = ProgressBar::new(n_steps).with_style(ProgressStyle::with_template(template)?);
    let trainer = Trainer::new(config, &Texts::read(&[text])?, out, &device)?;
    let mut trainer = trainer.on_progress(|progress| show(&bar, progress));
    let corpus = trainer.corpus();
    println!("{} tokens to train on, {} held out", corpus.train().len(), corpus.held_out().ids().len());
    let trigram = Trigram::count(corpus.train(), d_vocab).loss(corpus.held_out());
    println!("held-out loss of a trigram model: {trigram:.4} nats per token");
    println!("{} parameters", trainer.n_params());

    bar.set_position(trainer.step() as u64);
    bar.reset_eta();
    trainer.run()?;
    bar.finish_and_clear();

    // The loss that counts is that of the model as it was written.
    let corpus = trainer.corpus();
    let loss = corpus.held_out_loss(&Checkpoint::open(out)?.load(&device)?)?;
    for (name, nats) in [("the model", loss), ("a trigram model", trigram)] {
        let bits = corpus.bits_per_byte(nats);
        println!("held-out loss of {name}: {nats:.4} nats per token, {bits:.4} bits per byte");
    }
    Ok(())
}

/// Moves the bar, and prints each point of the loss curve above it.
fn show(bar: &ProgressBar, progress: TrainingProgress) {
    let TrainingProgress { step, loss, recorded, .. } = progress;
    if let Some(point) = recorded {
        let (train, held_out) = (point.train_loss, point.held_out_loss);
        bar.suspend(|| println!("{step:>6} steps: loss {train:.4}, held out {held_out:.4}"));
    }
    bar.set_message(format!("loss {loss:.3}"));
    bar.set_position(step as u64);
}
