//! `stratigraph sweep`: a study that many processes share and that survives being killed, as a job in a directory.

mod args;
mod plan;

use std::path::PathBuf;

use anyhow::{Context, Result};
use stratigraph_report::{OutDir, Report};
use stratigraph_study::job::{Job, JobPart, Shard, ShardRun};

pub use args::SweepArgs;
use args::{MergeArgs, RunArgs, StatusArgs, SweepCommand};

use crate::{load, output, study};

/// Does one step of a sweep.
pub fn run(args: &SweepArgs) -> Result<()> {
    match &args.command {
        SweepCommand::Plan(args) => plan::run(args),
        SweepCommand::Run(args) => args.devices.guard(|| run_shard(args)),
        SweepCommand::Status(args) => status(args),
        SweepCommand::Merge(args) => merge(args),
    }
}

fn run_shard(args: &RunArgs) -> Result<()> {
    let job = Job::open(&args.job)?;
    let model = args.model.clone().unwrap_or_else(|| PathBuf::from(&job.plan().model.source));
    let checkpoint = load::open(&model)?;
    let sha256 = checkpoint.sha256()?;
    job.check_model(&sha256)?;
    let models = load::models(&checkpoint, args.memory.stream, job.plan().dtype, &args.devices.open()?)?;
    let budget = load::budget(&args.memory, &models, None)?;
    let names: Vec<_> = args.devices.names.iter().map(ToString::to_string).collect();
    let bar = output::bar()?;
    let takes_text = job.plan().parts.iter().any(JobPart::takes_text);
    let tokenizer = takes_text.then(|| checkpoint.tokenizer()).transpose()?;
    let shard = ShardRun::new(&job, &names[0], &*models[0].model, &sha256)?;
    let mut others = names.iter().zip(&models).skip(1);
    let shard = others.try_fold(shard, |shard, (device, loaded)| shard.also_on(device, &*loaded.model))?;
    let shard = tokenizer.iter().fold(shard, |shard, tokenizer| shard.with_text(tokenizer));
    let done = shard.with_shard(args.shard).with_budget(budget).on_progress(output::shown(&bar)).run();
    bar.finish_and_clear();
    let n_steps = args.shard.part_of(job.n_steps()).len();
    output::line(format_args!("shard {}: {}", args.shard, told(done?, n_steps, &args.devices)))
}

/// How many of a shard's `n_steps` steps this process has done, in words.
fn told(n_done: usize, n_steps: usize, devices: impl std::fmt::Display) -> String {
    match n_done {
        0 => "nothing left to do".to_owned(),
        _ if n_done == n_steps => format!("{n_done} of {n_steps} steps done on {devices}"),
        _ => format!("{n_done} of {n_steps} steps done on {devices}; the others were done before"),
    }
}

/// A job and its copies.
struct Jobs {
    job: Job,
    copies: Vec<Job>,
}

impl Jobs {
    fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut jobs = paths.iter().map(Job::open);
        let job = jobs.next().context("no job is given")??;
        Ok(Self { job, copies: jobs.collect::<Result<_, _>>()? })
    }
}

fn status(args: &StatusArgs) -> Result<()> {
    let Jobs { job, copies } = Jobs::open(&args.jobs)?;
    let status = job.status(&copies)?;
    output::line(format_args!("{}: {job}\n{status}", job.path().display()))?;
    let Some(n_shards) = args.shards else { return Ok(()) };
    let left: Vec<_> = status.unfinished(n_shards).iter().map(Shard::to_string).collect();
    let left = if left.is_empty() { "none".to_owned() } else { left.join(", ") };
    output::line(format_args!("shards with steps left: {left}"))
}

fn merge(args: &MergeArgs) -> Result<()> {
    let out = args.out.as_ref().map(OutDir::create).transpose()?;
    let Jobs { job, copies } = Jobs::open(&args.jobs)?;
    let merged = job.merge(&copies)?;
    #[cfg(feature = "parquet")]
    let table = merged.to_parquet(&job);
    let profile = merged.into_profile(output::command());
    let mut files = Vec::new();
    if let Some(out) = out {
        files.extend(Report::new(&profile).write_to(&out)?);
        #[cfg(feature = "parquet")]
        files.push(out.write_file("sequences.parquet", &table)?);
    }
    study::print(&profile)?;
    output::written(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_says_what_is_done() {
        assert_eq!(told(0, 5, "flex"), "nothing left to do");
        assert_eq!(told(5, 5, "flex"), "5 of 5 steps done on flex");
        assert_eq!(told(3, 5, "flex"), "3 of 5 steps done on flex; the others were done before");
    }
}
