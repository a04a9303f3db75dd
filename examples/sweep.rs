//! A sweep that many processes share, here or on a cluster, and that survives being killed: planned once, run in shards,
//! merged into what one run over everything would have given.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use stratigraph::Experiment;
use stratigraph::job::{Job, JobModel, JobPlan, Shard, ShardRun, StepSize, hash_checkpoint};
use stratigraph::prelude::*;
use stratigraph::report::{LayerTable, OutDir, TerminalChart};
use stratigraph::stages::Segmentation;

#[derive(Parser)]
#[command(about = "Layer surgery in shards: plan it, run each shard anywhere, merge what they wrote")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
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
struct PlanArgs {
    /// A new directory for the job
    job: PathBuf,
    #[command(flatten)]
    source: common::Source,
    /// What to do, with commas between: delete, swap, lens, repeat_N, delete_attention, delete_mlp, resample_attention,
    /// resample_mlp
    #[arg(long, value_delimiter = ',', default_value = "delete,swap,lens")]
    experiments: Vec<Experiment>,
    /// Layers to run, in this order, such as 0-1-3-2; may be given more than once
    #[arg(long = "plan")]
    plans: Vec<LayerPlan>,
    /// Keep every token's numbers, in Parquet
    #[arg(long)]
    per_token: bool,
    /// Windows between two writes
    #[arg(long, default_value_t = 8, value_parser = common::at_least::<1>)]
    windows_per_step: usize,
    /// Layer plans between two writes; all by default, which is the least work
    #[arg(long, value_parser = common::at_least::<1>)]
    plans_per_step: Option<usize>,
    /// Decides what is drawn at random
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(clap::Args)]
struct RunArgs {
    /// The job's directory
    job: PathBuf,
    /// Which part of the job: I/N, counted from 0
    #[arg(long, default_value_t = Shard::WHOLE)]
    shard: Shard,
    /// Where the model is, if not where it was when the job was planned
    #[arg(long)]
    model: Option<String>,
    #[command(flatten)]
    devices: common::Devices,
    #[command(flatten)]
    room: common::Room,
}

fn main() -> ExitCode {
    common::exit(|| match Args::parse().command {
        Command::Plan(args) => plan(args),
        Command::Run(args) => run(&args),
        Command::Status { jobs, shards } => status(&jobs, shards),
        Command::Merge { jobs, out } => merge(&jobs, out),
    })
}

fn plan(args: PlanArgs) -> Result<()> {
    let source = &args.source;
    let (checkpoint, _, _, windows) = source.read()?;
    let sha256 = hash_checkpoint(&checkpoint)?;
    let device = source.text.model.devices.open_one()?;
    let (models, _) = source.room.load(&checkpoint, &[device])?;
    let model = &*models[0];
    let place = &source.text.model.model;
    let place = std::path::absolute(place).ok().filter(|path| path.exists()).unwrap_or(place.into());
    let record = JobModel::of(model, &common::name(&place), &place.to_string_lossy(), sha256);
    let corpus = common::name(&source.text.text);
    let plan = JobPlan::new(model, record, (&corpus, &windows), &args.experiments)?;
    let mut plan = args.plans.into_iter().try_fold(plan, |plan, own| plan.plan(model, own))?;
    (plan.per_token, plan.seed) = (args.per_token, args.seed);
    let plans = args.plans_per_step.unwrap_or(plan.step.plans);
    plan.step = StepSize { windows: args.windows_per_step, plans };
    let job = Job::create(&args.job, plan, windows)?;
    println!("{}: {}", job.path().display(), job.plan());
    Ok(())
}

fn run(args: &RunArgs) -> Result<()> {
    let job = Job::open(&args.job)?;
    let checkpoint = common::open(args.model.as_ref().unwrap_or(&job.plan().model.source))?;
    let sha256 = hash_checkpoint(&checkpoint)?;
    let (models, budget) = args.room.load(&checkpoint, &args.devices.open()?)?;
    let bar = common::bar()?;
    let shard = ShardRun::new(&job, &*models[0], &sha256)?.shard(args.shard).budget(budget);
    let shard = models[1..].iter().fold(shard, |shard, model| shard.also_on(&**model));
    let n_steps = shard.device(args.devices.to_string()).on_progress(common::shown(&bar)).run()?;
    bar.finish_and_clear();
    println!("shard {}: {n_steps} steps done on {}", args.shard, args.devices);
    Ok(())
}

/// A job and its copies.
fn open(jobs: &[PathBuf]) -> Result<(Job, Vec<Job>)> {
    let mut jobs = jobs.iter().map(Job::open).collect::<Result<Vec<_>, _>>()?;
    Ok((jobs.remove(0), jobs))
}

fn status(jobs: &[PathBuf], shards: Option<usize>) -> Result<()> {
    let (job, others) = open(jobs)?;
    let status = job.status(&others)?;
    println!("{}: {}\n{status}", job.path().display(), job.plan());
    if let Some(n_shards) = shards {
        let unfinished: Vec<_> = status.unfinished(n_shards).iter().map(Shard::to_string).collect();
        println!(
            "shards with steps left: {}",
            if unfinished.is_empty() { "none".into() } else { unfinished.join(", ") }
        );
    }
    Ok(())
}

fn merge(jobs: &[PathBuf], out: Option<PathBuf>) -> Result<()> {
    let out = out.map(OutDir::create).transpose()?;
    let (job, others) = open(jobs)?;
    let merged = job.merge(&others)?;
    let mut profile = merged.profile(&job);
    profile.stages = Some(Segmentation::of(&profile));
    println!("{}\n{}", LayerTable::new(&profile), TerminalChart::new(&profile));
    let Some(out) = out else { return Ok(()) };
    #[allow(unused_mut)] // without Parquet
    let mut files = out.write(&profile, &merged.findings.interventions)?;
    #[cfg(feature = "parquet")]
    {
        let path = out.path().join("sequences.parquet");
        std::fs::write(&path, merged.to_parquet(&job)).with_context(|| format!("cannot write {}", path.display()))?;
        files.push(path);
    }
    files.iter().for_each(|path| println!("wrote {}", path.display()));
    Ok(())
}
