//! What a run is: [`Args`].

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use stratigraph::prelude::*;

/// What a run is; one that goes on from a checkpoint must be the same.
#[derive(Parser, serde::Serialize)]
#[command(about = "Trains a small language model on text files; a run that was stopped goes on where it stopped")]
#[command(args_override_self = true)]
pub struct Args {
    /// Text files, or directories with .txt files
    #[arg(required = true)]
    pub text: Vec<PathBuf>,
    /// The directory for config.json, model.safetensors, tokenizer.json and loss.csv
    #[arg(long)]
    #[serde(skip)]
    pub out: PathBuf,
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..1000))]
    pub n_layers: u32,
    #[arg(long, default_value_t = 128)]
    pub d_model: usize,
    #[arg(long, default_value_t = 4)]
    pub n_heads: usize,
    /// Tokens in the vocabulary
    #[arg(long, default_value_t = 2560)]
    pub d_vocab: usize,
    /// Tokens in a window
    #[arg(long, default_value_t = 128)]
    pub n_ctx: usize,
    /// Windows in a step
    #[arg(long, default_value_t = 16)]
    pub batch: usize,
    /// How many threads share the windows of a step
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    #[arg(long, default_value_t = 7000)]
    pub steps: usize,
    /// The highest learning rate, reached after --warm-up steps and left on a cosine
    #[arg(long, default_value_t = 8e-3)]
    pub learning_rate: f64,
    #[arg(long, default_value_t = 200)]
    pub warm_up: usize,
    #[arg(long, default_value_t = 0.1)]
    pub weight_decay: f32,
    /// The largest norm that the gradient of a parameter may have
    #[arg(long, default_value_t = 1.0)]
    pub clip: f32,
    /// Number of steps between two measurements of the held-out loss, each with a checkpoint
    #[arg(long, default_value_t = 350)]
    pub every: usize,
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Stop after the first checkpoint that has at least this many steps; the same command without this goes on
    #[arg(long)]
    #[serde(skip)]
    pub stop_after: Option<usize>,
    /// flex or ndarray on a CPU, wgpu on a GPU
    #[arg(long, default_value = "flex")]
    #[serde(skip)]
    pub device: Backend,
}

impl Args {
    /// Refuses settings that no run can have.
    pub fn check(&self) -> Result<()> {
        ensure!(self.d_model.is_multiple_of(self.n_heads.max(1)), "--d-model must be a multiple of --n-heads");
        let counts = [self.batch, self.every, self.workers];
        ensure!(self.n_ctx >= 2 && !counts.contains(&0), "--n-ctx, --batch, --every or --workers is too small");
        ensure!((1..self.steps).contains(&self.warm_up), "--warm-up must lie between 1 and --steps");
        Ok(())
    }
}
