//! Trains a small language model of GPT-2's shape on text files and writes it as a Hugging Face directory.
//!
//! `models/tiny/README.md` tells with which command and on which text the model of this repository was made.

mod checkpoint;
#[path = "../common/mod.rs"]
mod common;
mod corpus;
mod training;
mod trigram;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use stratigraph::models::Storage;
use stratigraph::prelude::*;

use self::corpus::{Corpus, Texts};
use self::training::Trainer;
use self::trigram::Trigram;

/// What a run is; one that goes on from a checkpoint must be the same.
#[derive(Parser, serde::Serialize)]
#[command(about = "Trains a small language model on text files; a run that was stopped goes on where it was")]
#[command(args_override_self = true)]
struct Args {
    /// Text files, or directories with .txt files
    #[arg(required = true)]
    text: Vec<PathBuf>,
    /// The directory for config.json, model.safetensors, tokenizer.json and loss.csv
    #[arg(long)]
    #[serde(skip)]
    out: PathBuf,
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..1000))]
    n_layers: u32,
    #[arg(long, default_value_t = 128)]
    d_model: usize,
    #[arg(long, default_value_t = 4)]
    n_heads: usize,
    /// Tokens in the vocabulary
    #[arg(long, default_value_t = 2560)]
    d_vocab: usize,
    /// Tokens in a window
    #[arg(long, default_value_t = 128)]
    n_ctx: usize,
    /// Windows in a step
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// How many threads share the windows of a step
    #[arg(long, default_value_t = 2)]
    workers: usize,
    #[arg(long, default_value_t = 7000)]
    steps: usize,
    /// The highest learning rate, reached after --warm-up steps and left on a cosine
    #[arg(long, default_value_t = 8e-3)]
    learning_rate: f64,
    #[arg(long, default_value_t = 200)]
    warm_up: usize,
    #[arg(long, default_value_t = 0.1)]
    weight_decay: f32,
    /// The largest norm that the gradient of a parameter may have
    #[arg(long, default_value_t = 1.0)]
    clip: f32,
    /// After so many steps the held-out loss is measured and a checkpoint written
    #[arg(long, default_value_t = 350)]
    every: usize,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Stop behind the first checkpoint that has at least so many steps; the same command without this goes on
    #[arg(long)]
    #[serde(skip)]
    stop_after: Option<usize>,
    /// flex or ndarray on a CPU, wgpu on a GPU
    #[arg(long, default_value = "flex")]
    #[serde(skip)]
    device: Backend,
}

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    ensure!(args.d_model.is_multiple_of(args.n_heads.max(1)), "--d-model must be a multiple of --n-heads");
    let counts = [args.batch, args.every, args.workers];
    ensure!(args.n_ctx >= 2 && !counts.contains(&0), "--n-ctx, --batch, --every or --workers is too small");
    ensure!((1..args.steps).contains(&args.warm_up), "--warm-up must lie between 1 and --steps");
    std::fs::create_dir_all(&args.out)?;
    let texts = Texts::read(&args.text)?;
    let tokenizer = texts.train_tokenizer(args.d_vocab, &args.out.join("tokenizer.json"))?;
    let corpus = Corpus::encode(&texts, &tokenizer, args.n_ctx)?;
    println!(
        "{:.2} MB to train on, {} tokens; {} tokens held out, {:.2} bytes each",
        texts.train_bytes() as f64 / 1e6,
        corpus.train.len(),
        corpus.held_out.ids().len(),
        corpus.bytes_per_token
    );
    let windows = &corpus.held_out;
    let counted = Trigram::count(&corpus.train, args.d_vocab);
    let trigram = counted.loss((0..windows.n_sequences()).map(|index| windows.sequence(index)));
    println!("held-out loss of a trigram model: {trigram:.4} nats a token");

    let Some(trained) = Trainer::new(args, &corpus)?.run()? else {
        println!("stopped; the same command goes on from here");
        return Ok(());
    };
    trained.save(&args.out, Storage::F16)?;
    // What counts is the model as it was written.
    let written = Pretrained::open(&args.out)?.load(&args.device.device()?)?;
    let loss = training::loss(&written, windows)?;
    let bits = |nats: f64| nats / std::f64::consts::LN_2 / corpus.bytes_per_token;
    println!("held-out loss of {}: {loss:.4} nats a token, {:.4} bits a byte", args.out.display(), bits(loss));
    println!("held-out loss of a trigram model: {trigram:.4} nats a token, {:.4} bits a byte", bits(trigram));
    Ok(())
}
