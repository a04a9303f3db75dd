//! A benchmark under layer surgery: a table of its scores for the unchanged model and each plan, and a CSV.

mod common;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use stratigraph::prelude::*;
use stratigraph::probes::statistics::Summary;
use stratigraph::tasks::Task;
use stratigraph::{TaskResult, TaskRun};

#[derive(Parser)]
#[command(about = "LAMBADA, HellaSwag and ARC-Easy under layer surgery")]
struct Args {
    /// lambada, hellaswag or arc_easy
    #[arg(long, default_value = "arc_easy")]
    task: Task,
    /// The benchmark's JSONL file; by default a few items that come with the repository
    #[arg(long)]
    items: Option<PathBuf>,
    /// How many items to use, from the first
    #[arg(long)]
    limit: Option<NonZeroUsize>,
    #[command(flatten)]
    model: common::ModelArgs,
    /// Put before every text, such as <s>, for a model that was trained with it
    #[arg(long, default_value = "", hide_default_value = true)]
    start: String,
    /// Plans to run, such as 0-1-3-2-4, beside the unchanged model
    #[arg(long, num_args = 1..)]
    plan: Vec<LayerPlan>,
    /// Run the deletion of each layer too, as without --plan
    #[arg(long)]
    delete_each: bool,
    /// A new file for every score of every plan
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let own = || format!("{}/examples/data/tasks/{}.jsonl", env!("CARGO_MANIFEST_DIR"), args.task).into();
    let mut items = args.task.read(args.items.clone().unwrap_or_else(own))?;
    items.truncate(args.limit.map_or(usize::MAX, NonZeroUsize::get));
    let (model, tokenizer) = args.model.load()?;
    let start = tokenizer.encode(&args.start)?;
    let encoded =
        args.task.encode(items, |text| Ok::<_, anyhow::Error>([&start[..], &tokenizer.encode(text)?].concat()))?;

    let mut plans = [&[LayerPlan::full(model.n_layers())], &args.plan[..]].concat();
    if args.delete_each || args.plan.is_empty() {
        plans.extend(sweep::delete_each(model.n_layers()));
    }
    let bar = common::bar()?;
    let tasks = TaskRun::new(&model).plans(plans).on_progress(common::shown(&bar));
    let results = tasks.run(&encoded)?;
    bar.finish_and_clear();

    let clean = &results[0].scores;
    let mut rows = Vec::new();
    for TaskResult { plan, scores } in &results {
        let change = scores.change_from(clean);
        let within = change.sem.map(|sem| format!(" ± {sem:.3}")).unwrap_or_default();
        println!("{scores}, change {:+.3}{within}: {plan}", change.mean);
        for (name, Summary { mean, sem }) in scores.named().into_iter().chain([("acc_change", change)]) {
            let sem = sem.map(|sem| sem.to_string()).unwrap_or_default();
            rows.push(vec![plan.to_string(), name.to_owned(), mean.to_string(), sem]);
        }
    }
    let chance = clean.chance.map(|chance| format!("; guessing gives {chance:.3}")).unwrap_or_default();
    println!("{} on {}{chance}", common::name(&args.model.model), args.model.devices);
    common::write_csv(args.csv.as_deref(), &["plan", "score", "mean", "sem"], rows)
}
