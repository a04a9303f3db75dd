//! A sweep that many processes share, here or on a cluster, and that survives being killed: planned once, run in shards,
//! merged into what one run over everything would have given.

mod args;
#[path = "../common/mod.rs"]
mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use stratigraph::job::{Job, JobModel, JobPlan, Shard, ShardRun, StepSize, hash_checkpoint};
use stratigraph::prelude::*;
use stratigraph::report::{LayerTable, OutDir, TerminalChart};
use stratigraph::stages::Segmentation;

use args::{Args, Command, PlanArgs, RunArgs};

fn main() -> ExitCode {
    common::exit(|| match Args::parse().command {
        Command::Plan(args) => plan(args),
        Command::Run(args) => run(&args),
        Command::Status { jobs, shards } => status(&jobs, shards),
        Command::Merge { jobs, out } => merge(&jobs, out),
    })
}

fn plan(args: PlanArgs) -> Result<()> {
    let checkpoint = common::open(&args.model)?;
    let text = common::read_text(&args.text)?;
    let windows = common::cut(&checkpoint.tokenizer()?, &text, args.seq_len, args.sequences)?;
    let sha256 = hash_checkpoint(&checkpoint)?;
    // Reads and checks every weight, and keeps none.
    let model = checkpoint.stream(&Backend::Flex.device()?)?;
    let path = std::path::absolute(&args.model).ok().filter(|path| path.exists());
    let source = path.map_or(args.model.clone(), |path| path.to_string_lossy().into_owned());
    let record = JobModel::of(&model, &common::name(&source), &source, sha256);
    let plan = JobPlan::new(&model, record, (&common::name(&args.text), &windows), &args.experiments)?;
    let mut plan = args.plans.into_iter().try_fold(plan, |plan, own| plan.plan(&model, own))?;
    (plan.per_token, plan.seed) = (args.per_token, args.seed);
    plan.step = StepSize { windows: args.windows_per_step, plans: args.plans_per_step.unwrap_or(plan.step.plans) };
    let job = Job::create(&args.job, plan, windows)?;
    println!("{}: {}", job.path().display(), job.plan());
    Ok(())
}

fn run(args: &RunArgs) -> Result<()> {
    let job = Job::open(&args.job)?;
    let checkpoint = common::open(args.model.as_ref().unwrap_or(&job.plan().model.source))?;
    let sha256 = hash_checkpoint(&checkpoint)?;
    job.check_model(&sha256)?;
    let (models, budget) = args.room.load(&checkpoint, &args.devices.open()?)?;
    let names: Vec<_> = args.devices.names.iter().map(ToString::to_string).collect();
    let mut on = names.iter().zip(&models);
    let (first, model) = on.next().expect("there is a device");
    let bar = common::bar()?;
    let shard = ShardRun::new(&job, first, &**model, &sha256)?.shard(args.shard).budget(budget);
    let shard = on.fold(shard, |shard, (device, model)| shard.also_on(device, &**model));
    let n_steps = shard.on_progress(common::shown(&bar)).run()?;
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
        let left: Vec<_> = status.unfinished(n_shards).iter().map(Shard::to_string).collect();
        println!("shards with steps left: {}", if left.is_empty() { "none".to_owned() } else { left.join(", ") });
    }
    Ok(())
}

fn merge(jobs: &[PathBuf], out: Option<PathBuf>) -> Result<()> {
    let out = out.map(OutDir::create).transpose()?;
    let (job, others) = open(jobs)?;
    let merged = job.merge(&others)?;
    let mut profile = merged.profile(&job, std::env::args().collect());
    profile.stages = Some(Segmentation::of(&profile));
    println!("{}\n{}", LayerTable::new(&profile), TerminalChart::new(&profile));
    let Some(out) = out else { return Ok(()) };
    #[allow(unused_mut)] // without Parquet
    let mut files = out.write(&profile, &merged.findings.interventions)?;
    #[cfg(feature = "parquet")]
    files.push(out.write_file("sequences.parquet", &merged.to_parquet(&job))?);
    files.iter().for_each(|path| println!("wrote {}", path.display()));
    Ok(())
}
