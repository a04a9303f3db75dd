//! What `sweep` is told on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use stratigraph::Experiment;
use stratigraph::job::Shard;
use stratigraph::prelude::*;

use crate::common;

#[derive(Parser)]
#[command(about = "Layer surgery in shards: plan it, run each shard anywhere, merge what they wrote")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Write down what is to be done
    Plan(PlanArgs),
    /// Do what is left of a shard; any number may run at once
    Run(RunArgs),
    /// Tell how far all shards are together
    Status {
        /// The job's directory, and copies of it that ran elsewhere
        #[arg(required = true)]
        jobs: Vec<PathBuf>,
        /// Tell which of so many shards have steps left
        #[arg(long, value_parser = common::at_least::<1>)]
        shards: Option<usize>,
    },
    /// Put together what all shards wrote
    Merge {
        /// The job's directory, and copies of it that ran elsewhere
        #[arg(required = true)]
        jobs: Vec<PathBuf>,
        /// A new or empty directory for profile.json, layers.csv, interventions.csv, report.html and figures/*.svg, and
        /// sequences.parquet where the program is built with it
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
pub struct PlanArgs {
    /// A new directory for the job
    pub job: PathBuf,
    /// A GGUF file, a Hugging Face directory, or a model of the hub: ORGANISATION/NAME[@REVISION]
    #[arg(long, default_value = common::MODEL)]
    pub model: String,
    /// A text file
    #[arg(long, default_value = common::TEXT)]
    pub text: PathBuf,
    /// How many windows of the text to use
    #[arg(long, default_value_t = 32, value_parser = common::at_least::<1>)]
    pub sequences: usize,
    /// Tokens in a window
    #[arg(long, default_value_t = 128)]
    pub seq_len: usize,
    /// What to do, with commas between: delete, swap, lens, repeat_N, delete_attention, delete_mlp, resample_attention,
    /// resample_mlp
    #[arg(long, value_delimiter = ',', default_value = "delete,swap,lens")]
    pub experiments: Vec<Experiment>,
    /// Layers to run, in this order, such as 0-1-3-2; may be given more than once
    #[arg(long = "plan")]
    pub plans: Vec<LayerPlan>,
    /// Keep every token's numbers, in Parquet
    #[arg(long)]
    pub per_token: bool,
    /// Windows between two writes
    #[arg(long, default_value_t = 8, value_parser = common::at_least::<1>)]
    pub windows_per_step: usize,
    /// Layer plans between two writes; all by default, which is the least work
    #[arg(long, value_parser = common::at_least::<1>)]
    pub plans_per_step: Option<usize>,
    /// Decides what is drawn at random when all is merged: windows for the intervals of stages, orders of layers
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

#[derive(clap::Args)]
pub struct RunArgs {
    /// The job's directory
    pub job: PathBuf,
    /// Which part of the job: I/N, counted from 0
    #[arg(long, default_value_t = Shard::WHOLE)]
    pub shard: Shard,
    /// Where the model is, if not where it was when the job was planned
    #[arg(long)]
    pub model: Option<String>,
    #[command(flatten)]
    pub devices: common::Devices,
    #[command(flatten)]
    pub room: common::Room,
}
