//! Does a checkpoint load, and does it make sense? Prints what the model is and what it predicts behind a text.

mod common;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use stratigraph::core::{forward, logits};
use stratigraph::prelude::*;

#[derive(Parser)]
#[command(about = "Which token a model expects next")]
struct Args {
    #[command(flatten)]
    model: common::ModelArgs,
    /// The text to go on from
    #[arg(long, default_value = "The ship was lost in the")]
    text: String,
    /// How many of the likeliest tokens to show
    #[arg(long, default_value_t = 5)]
    top: usize,
}

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let device = args.model.devices.open_one()?;
    let checkpoint = common::open(&args.model.model)?;
    println!("{:#?}", checkpoint.config());
    let tokenizer = checkpoint.tokenizer()?;
    let ids = tokenizer.encode(&args.text)?;
    let windows = TokenWindows::new(&ids, ids.len())?;
    let model = checkpoint.load(&device)?;
    windows.check(&model)?;
    let resid = forward(&model, windows.batch(0..1, &device), &mut NoTap)?;
    let last = logits(&model, resid.narrow(1, ids.len() - 1, 1)); // [1, 1, d_vocab]
    let log_probs: Vec<f32> = burn::tensor::activation::log_softmax(last, 2).try_into_vec_as()?;
    let mut ranked: Vec<u32> = (0..log_probs.len() as u32).collect();
    ranked.sort_by(|a, b| log_probs[*b as usize].total_cmp(&log_probs[*a as usize]));
    println!("{:?} ({} tokens) goes on with", args.text, ids.len());
    for &id in ranked.iter().take(args.top) {
        println!("{:>8.2} %  {:?}", 100.0 * log_probs[id as usize].exp(), tokenizer.decode(&[id])?);
    }
    Ok(())
}
