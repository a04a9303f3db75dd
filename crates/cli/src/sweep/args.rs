//! The arguments of `stratigraph sweep`: [`SweepCommand`] and what each of its subcommands takes.

use std::path::PathBuf;

use clap::Subcommand;
use stratigraph_study::job::Shard;
use stratigraph_surgery::Intervention;

use crate::args::{self, DeviceArgs, MemoryArgs, ModelArgs, PrecisionArgs, at_least};
use crate::corpus::TextArgs;
use crate::experiments::Experiment;
use crate::groups::GroupArgs;
use crate::lens::LensFileArgs;
use crate::pairs::PairArgs;
use crate::steering::SteeringArgs;
use crate::task_items::TaskFileArgs;

/// The arguments of `sweep`.
#[derive(clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:\n  \
    stratigraph sweep plan job --model openai-community/gpt2 --text text.txt --sequences 1000\n  \
    stratigraph sweep run job --shard 0/8 && stratigraph sweep merge job --out results")]
pub struct SweepArgs {
    #[command(subcommand)]
    pub command: SweepCommand,
}

/// The steps of a sweep, in their order.
#[derive(Subcommand)]
pub enum SweepCommand {
    /// Write down what is to be done
    Plan(Box<PlanArgs>),
    /// Do what is left of a shard; any number of processes may run at once
    Run(RunArgs),
    /// Say how many steps are done
    Status(StatusArgs),
    /// Put together what all shards measured
    Merge(MergeArgs),
}

/// The arguments of `sweep plan`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph sweep plan job --sequences 256 --experiments delete,swap,lens\n  \
    stratigraph sweep plan job --model openai-community/gpt2 --text text.txt --experiments zero_heads --windows-per-step 2")]
pub struct PlanArgs {
    /// A new directory for the job
    pub job: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub text: TextArgs,
    #[command(flatten)]
    pub measure: PlanMeasureArgs,
    #[command(flatten)]
    pub steering: SteeringArgs,
    #[command(flatten)]
    pub precision: PrecisionArgs,
    #[command(flatten)]
    pub steps: StepArgs,
}

/// What a job measures.
#[derive(clap::Args)]
#[command(next_help_heading = "Measurements")]
pub struct PlanMeasureArgs {
    /// What to do, with commas between; an unknown name lists all
    ///
    /// Any sweep, and effects, neuron_sets, mean_neuron_sets, knock_out_words, steering (--steer-...), patching (--pairs), and
    /// affine_lens, tuned_lens, jacobian_lens (--lens, which the job keeps) and fixed_scale_lens. The others need the whole corpus or
    /// other texts in one process: `study` runs them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "delete,swap,lens")]
    pub experiments: Vec<Experiment>,
    /// Metrics, separated by commas [default: kl,top1_agreement,entropy_bits,nll,accuracy]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// An intervention of your own, such as `no-11=0..11-12..30`; may be given more than once
    #[arg(long = "intervention", value_name = "[NAME=]TEXT", value_parser = args::intervention)]
    pub interventions: Vec<Intervention>,
    #[command(flatten)]
    pub groups: GroupArgs,
    #[command(flatten)]
    pub pairs: PairArgs,
    #[command(flatten)]
    pub lenses: LensFileArgs,
    #[command(flatten)]
    pub tasks: TaskFileArgs,
    /// Keep the numbers of every token, in Parquet
    #[arg(long)]
    pub per_token: bool,
    /// The seed of everything that is drawn at random: windows and sets now, bootstrap resamples when the shards are merged
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// How much work is done between two writes.
#[derive(clap::Args)]
#[command(next_help_heading = "Steps")]
pub struct StepArgs {
    /// Windows in a step
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = at_least::<1>)]
    pub windows_per_step: usize,
    /// Interventions in a step [default: all, which shares the most work]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    pub interventions_per_step: Option<usize>,
}

/// The arguments of `sweep run`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph sweep run job\n  \
    stratigraph sweep run job --shard 3/8 --model /local/gpt2 --device wgpu:0 --device wgpu:1")]
pub struct RunArgs {
    /// The job's directory
    pub job: PathBuf,
    /// Which part of the job: I/N, counted from 0
    #[arg(long, value_name = "I/N", default_value_t = Shard::WHOLE)]
    pub shard: Shard,
    /// The path of the model, if it has moved since the job was planned
    #[arg(long)]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub devices: DeviceArgs,
    #[command(flatten)]
    pub memory: MemoryArgs,
}

/// The arguments of `sweep status`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph sweep status job --shards 8\n  \
    stratigraph sweep status job copies/job-a copies/job-b")]
pub struct StatusArgs {
    /// The job's directory, and copies of it that ran elsewhere
    #[arg(required = true, value_name = "JOB")]
    pub jobs: Vec<PathBuf>,
    /// Say which of N shards have steps left
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    pub shards: Option<usize>,
}

/// The arguments of `sweep merge`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph sweep merge job --out results\n  \
    stratigraph sweep merge job copies/job-a copies/job-b --out results")]
pub struct MergeArgs {
    /// The job's directory, and copies of it that ran elsewhere
    #[arg(required = true, value_name = "JOB")]
    pub jobs: Vec<PathBuf>,
    /// A new or empty directory for profile.json, report.html, tables and figures
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
}
