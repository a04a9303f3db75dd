//! `stratigraph tasks`: a benchmark under interventions, as lines and as a CSV file.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Error, Result};
use stratigraph_core::{ResidualModel, Summary};
use stratigraph_models::Tokenizer;
use stratigraph_study::{TaskResult, TaskRun};
use stratigraph_surgery::{Intervention, Sweep, SweepContext};
use stratigraph_tasks::{EncodedItems, NamedScore, Task, TaskScores};

use crate::args::{self, DeviceArgs, MemoryArgs, ModelArgs};
use crate::output::{CsvFile, cell};
use crate::{defaults, load, output};

/// The arguments of `tasks`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph tasks --task lambada --items lambada.jsonl --limit 500 --csv lambada.csv\n  \
    stratigraph tasks --model openai-community/gpt2 --intervention no-3=0..3-4..12 --delete-each")]
pub struct TaskArgs {
    #[command(flatten)]
    items: ItemArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    interventions: InterventionArgs,
    #[command(flatten)]
    pub devices: DeviceArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    /// A new CSV file of every score under every intervention
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    csv: Option<PathBuf>,
}

/// Which items of which benchmark.
#[derive(clap::Args)]
#[command(next_help_heading = "Benchmark")]
struct ItemArgs {
    /// lambada, hellaswag or arc_easy
    #[arg(long, default_value = "arc_easy")]
    task: Task,
    /// The benchmark's JSONL file [default: a few items of the repository]
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
    /// Use the first N items only
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// Put this before every text, such as <s>, for a model that was trained with it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    start: String,
}

/// Under which interventions.
#[derive(clap::Args)]
#[command(next_help_heading = "Interventions")]
struct InterventionArgs {
    /// An intervention to score beside the unchanged model; may be given more than once
    #[arg(long = "intervention", value_name = "[NAME=]TEXT", value_parser = args::intervention)]
    interventions: Vec<Intervention>,
    /// Delete each layer in turn, as without --intervention
    #[arg(long)]
    delete_each: bool,
}

/// Scores the benchmark.
pub fn run(args: &TaskArgs) -> Result<()> {
    let csv = args.csv.as_deref().map(CsvFile::new).transpose()?;
    let device = args.devices.open_one()?;
    let path = args.model.path()?;
    let checkpoint = load::open(&path)?;
    let encoded = encode(&args.items, &checkpoint.tokenizer()?)?;
    let loaded = load::model(&checkpoint, args.memory.stream, &device)?;
    let budget = load::budget(&args.memory, loaded.n_bytes, 1)?;
    let bar = output::bar()?;
    let run = TaskRun::new(&*loaded.model).interventions(args.interventions.on(&*loaded.model)?).with_budget(budget);
    let results = run.on_progress(output::shown(&bar)).run(&encoded);
    bar.finish_and_clear();
    let results = results?;
    let clean = &results[0].scores;
    let file = csv.map(|csv| csv.write(&HEADER, results.iter().flat_map(|result| rows(result, clean)))).transpose()?;
    results.iter().try_for_each(|result| output::line(told(result, clean)))?;
    let chance = clean.chance.map(|chance| format!("; guessing gives {chance:.3}")).unwrap_or_default();
    output::line(format_args!("{} on {}{chance}", load::name(&path), args.devices))?;
    output::written(file)
}

fn encode(args: &ItemArgs, tokenizer: &Tokenizer) -> Result<EncodedItems> {
    let path = args.items.clone().map_or_else(|| defaults::task_items(&args.task.to_string()), Ok)?;
    let mut items = args.task.read(path)?;
    items.truncate(args.limit.map_or(usize::MAX, NonZeroUsize::get));
    let start = tokenizer.encode(&args.start)?;
    args.task.encode(items, |text| Ok::<_, Error>([&start[..], &tokenizer.encode(text)?].concat()))
}

impl InterventionArgs {
    /// The interventions on a model.
    fn on(&self, model: &dyn ResidualModel) -> Result<Vec<Intervention>> {
        let mut interventions = self.interventions.clone();
        if self.delete_each || interventions.is_empty() {
            let context = SweepContext::new(model.shape(), 0); // texts of a task have many lengths
            interventions.extend(Sweep::delete().points(&context)?.interventions);
        }
        Ok(interventions)
    }
}

/// The columns of the CSV file.
const HEADER: [&str; 5] = ["intervention", "text", "score", "mean", "sem"];

fn rows(result: &TaskResult, clean: &TaskScores) -> Vec<Vec<String>> {
    let change = result.scores.change_from(clean);
    let scores = result.scores.named().into_iter().chain([NamedScore { name: "acc_change", score: change }]);
    let row = |NamedScore { name, score: Summary { mean, sem } }: NamedScore| {
        vec![result.name.clone(), result.text.clone(), name.to_owned(), cell(Some(mean)), cell(sem)]
    };
    scores.map(row).collect()
}

/// A line for an intervention.
fn told(result: &TaskResult, clean: &TaskScores) -> String {
    let change = result.scores.change_from(clean);
    let sem = change.sem.map(|sem| format!(" ± {sem:.3}")).unwrap_or_default();
    format!("{result}, change {:+.3}{sem}", change.mean)
}
