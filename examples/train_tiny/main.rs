//! How is a model trained that can then be studied? Trains a small language model of GPT-2's shape on text files and
//! writes it as a Hugging Face directory. `models/tiny/README.md` has the command and the text of the model in the box.

mod args;
mod checkpoint;
mod corpus;
mod training;
mod trigram;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use stratigraph::prelude::*;

use self::args::Args;
use self::corpus::{Corpus, Texts};
use self::training::Trainer;
use self::trigram::Trigram;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    args.check()?;
    std::fs::create_dir_all(&args.out)?;
    let texts = Texts::read(&args.text)?;
    let tokenizer = texts.train_tokenizer(args.d_vocab, &args.out.join("tokenizer.json"))?;
    let corpus = Corpus::encode(&texts, &tokenizer, args.n_ctx)?;
    let windows = &corpus.held_out;
    println!("{} tokens to train on, {} held out", corpus.train.len(), windows.ids().len());
    let counted = Trigram::count(&corpus.train, args.d_vocab);
    let trigram = counted.loss((0..windows.n_sequences()).map(|index| windows.sequence(index)));
    println!("held-out loss of a trigram model: {trigram:.4} nats per token");

    let Some(trained) = Trainer::new(args, &corpus)?.run()? else {
        println!("stopped; the same command without --stop-after goes on from here");
        return Ok(());
    };
    trained.save(&args.out, Storage::F16)?;
    // The loss that counts is that of the model as it was written.
    let written = Checkpoint::open(&args.out)?.load(&args.device.device()?)?;
    for (name, nats) in [("the model", training::loss(&written, windows)?), ("a trigram model", trigram)] {
        let bits = nats / std::f64::consts::LN_2 / corpus.bytes_per_token;
        println!("held-out loss of {name}: {nats:.4} nats per token, {bits:.4} bits per byte");
    }
    Ok(())
}
