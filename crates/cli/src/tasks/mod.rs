//! `stratigraph tasks`: a benchmark under interventions, as lines and as a CSV file.

mod generative;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use stratigraph_core::{Precision, ResidualModel, Summary};
use stratigraph_models::Tokenizer;
use stratigraph_study::{TaskResult, TaskRun};
use stratigraph_surgery::{Intervention, Sweep, SweepContext};
use stratigraph_tasks::{EncodedItems, NamedScore, Task, TaskScores};

use crate::args::{self, MemoryArgs, ModelArgs, OneDeviceArgs};
use crate::corpus::BosArg;
use crate::output::{CsvFile, cell};
use crate::task_items::{AnyTask, Chosen};
use crate::{defaults, load, output, task_items};

/// The arguments of `tasks`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph tasks --task lambada --items lambada.jsonl --limit 500 --csv lambada.csv\n  \
    stratigraph tasks --task mmlu --items test.jsonl --shots 5 --examples dev.jsonl --sweep swap\n  \
    stratigraph tasks --task gsm8k --items test.jsonl --shots 5 --examples train.jsonl --intervention no-3=0..3-4..12")]
pub struct TaskArgs {
    #[command(flatten)]
    items: ItemArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    interventions: InterventionArgs,
    #[command(flatten)]
    pub device: OneDeviceArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    /// A new CSV file of every score under every intervention
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    csv: Option<PathBuf>,
    /// A new CSV file of every item's outcome under every intervention
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    per_item: Option<PathBuf>,
}

/// Which items of which benchmark.
#[derive(clap::Args)]
#[command(next_help_heading = "Benchmark")]
struct ItemArgs {
    /// lambada, hellaswag, arc_easy, arc_challenge, piqa, winogrande, mmlu or gsm8k (whose answers the model writes)
    #[arg(long, default_value = "arc_easy")]
    task: AnyTask,
    /// The benchmark's JSONL file [default: a few items of arc_easy, hellaswag, lambada or gsm8k in the repository]
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
    /// Use the first N items only
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// Put the first K examples with their answers before each item; in MMLU, the first K of its subject
    #[arg(long, value_name = "K", default_value_t = 0, requires = "examples", hide_default_value = true)]
    shots: usize,
    /// A JSONL file of the same form, of another part of the benchmark
    #[arg(long, value_name = "FILE", requires = "shots")]
    examples: Option<PathBuf>,
    /// Begin texts with the BOS token: auto, always or never; auto does as the tokenizer says
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    bos: BosArg,
    /// Put this before every text, after BOS
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    start: String,
    /// The most tokens of a generated answer, in gsm8k [default: 256]
    #[arg(long, value_name = "N", value_parser = args::at_least::<1>)]
    max_new_tokens: Option<usize>,
}

/// Under which interventions.
#[derive(clap::Args)]
#[command(next_help_heading = "Interventions")]
struct InterventionArgs {
    /// An intervention to score beside the unchanged model; may be given more than once
    #[arg(long = "intervention", value_name = "[NAME=]TEXT", value_parser = args::intervention)]
    interventions: Vec<Intervention>,
    /// A sweep by name, such as swap or delete_mlp: every point of it; may be given more than once
    #[arg(long = "sweep", value_name = "NAME", value_parser = sweep)]
    sweeps: Vec<String>,
    /// Delete each layer in turn, as without --intervention and --sweep
    #[arg(long)]
    delete_each: bool,
}

/// The name of a sweep.
fn sweep(name: &str) -> Result<String, String> {
    let known = Sweep::by_name(name).map(|_| name.to_owned());
    known.ok_or_else(|| format!("there is no such sweep; known: {}", Sweep::KNOWN.join(", ")))
}

/// Scores the benchmark.
pub fn run(args: &TaskArgs) -> Result<()> {
    match args.items.task {
        AnyTask::Scored(task) => scored(args, task),
        AnyTask::Generative(task) => generative::run(args, task),
    }
}

/// Scores continuations.
fn scored(args: &TaskArgs, task: Task) -> Result<()> {
    ensure!(
        args.items.max_new_tokens.is_none(),
        "--max-new-tokens: in {task} the model generates no text; leave it out"
    );
    output::check_distinct([("--csv", args.csv.as_deref()), ("--per-item", args.per_item.as_deref())])?;
    let csv = args.csv.as_deref().map(CsvFile::new).transpose()?;
    let per_item = args.per_item.as_deref().map(CsvFile::new).transpose()?;
    let device = args.device.open()?;
    let path = args.model.path()?;
    let checkpoint = load::open(&path)?;
    let encoded = encode(&args.items, task, &checkpoint.tokenizer()?)?;
    let loaded = load::model(&checkpoint, args.memory.stream, Precision::F32, &device)?;
    let budget = load::budget(&args.memory, std::slice::from_ref(&loaded), None)?;
    let bar = output::bar()?;
    let interventions = args.interventions.on(&*loaded.model, encoded.longest())?;
    let run = TaskRun::new(&*loaded.model).interventions(interventions).with_budget(budget);
    let results = run.on_progress(output::shown(&bar)).run(&encoded);
    bar.finish_and_clear();
    let results = results?;
    let clean = &results[0].scores;
    let file = csv.map(|csv| csv.write(&HEADER, results.iter().flat_map(|result| rows(result, clean)))).transpose();
    let per_item = per_item.map(|csv| csv.write(&ITEM_HEADER, results.iter().flat_map(item_rows))).transpose();
    results.iter().try_for_each(|result| output::line(told(result, clean)))?;
    let chance = clean.chance.map(|chance| format!("; guessing gives {chance:.3}")).unwrap_or_default();
    output::line(format_args!("{} on {}{chance}", load::name(&path), args.device))?;
    output::written(file?.into_iter().chain(per_item?)) // what cannot be written was printed
}

fn encode(args: &ItemArgs, task: Task, tokenizer: &Tokenizer) -> Result<EncodedItems> {
    let items = args.chosen(&args.file(task.name())?).scored(task)?;
    task_items::encode(task, items, tokenizer, &args.beginning(tokenizer)?)
}

impl ItemArgs {
    /// The file of items.
    fn file(&self, task: &str) -> Result<PathBuf> {
        self.items.clone().map_or_else(|| defaults::task_items(task), Ok)
    }

    /// Which items of a file.
    fn chosen<'a>(&'a self, path: &'a Path) -> Chosen<'a> {
        let examples = self.examples.as_deref().map(|path| (path, self.shots));
        Chosen { path, limit: self.limit, examples }
    }

    /// The tokens before every text.
    fn beginning(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        Ok(self.bos.token(tokenizer)?.into_iter().chain(tokenizer.encode(&self.start)?).collect())
    }
}

impl InterventionArgs {
    /// The interventions on a model that reads texts of at most `longest` tokens.
    fn on(&self, model: &dyn ResidualModel, longest: usize) -> Result<Vec<Intervention>> {
        let mut interventions = self.interventions.clone();
        let context = SweepContext::new(model.shape(), longest);
        let deletion = (self.delete_each || (interventions.is_empty() && self.sweeps.is_empty())).then(Sweep::delete);
        for sweep in self.sweeps.iter().filter_map(|name| Sweep::by_name(name)).chain(deletion) {
            interventions.extend(sweep.points(&context)?.interventions);
        }
        Ok(interventions)
    }
}

/// The columns of the CSV file.
const HEADER: [&str; 5] = ["intervention", "text", "score", "mean", "sem"];

fn rows(result: &TaskResult, clean: &TaskScores) -> Vec<Vec<String>> {
    let change = result.scores.change_from(clean);
    let scores = result.scores.named().into_iter().chain([NamedScore { name: "acc_change", score: change }]);
    score_rows((&result.name, &result.text), scores)
}

/// A row for each score of an intervention, given by its name and its text.
fn score_rows((name, text): (&str, &str), scores: impl IntoIterator<Item = NamedScore>) -> Vec<Vec<String>> {
    let row = |NamedScore { name: score, score: Summary { mean, sem } }: NamedScore| {
        vec![name.to_owned(), text.to_owned(), score.to_owned(), cell(Some(mean)), cell(sem)]
    };
    scores.into_iter().map(row).collect()
}

/// The columns of the CSV file of items; items are counted from 0.
const ITEM_HEADER: [&str; 6] = ["intervention", "text", "item", "log_prob", "correct", "correct_norm"];

fn item_rows(result: &TaskResult) -> impl Iterator<Item = Vec<String>> {
    let number = |yes: bool| u8::from(yes).to_string();
    result.scores.items.iter().enumerate().map(move |(index, item)| {
        let norm = item.correct_norm.map(number).unwrap_or_default();
        let (log_prob, correct) = (cell(Some(item.log_prob)), number(item.correct));
        vec![result.name.clone(), result.text.clone(), index.to_string(), log_prob, correct, norm]
    })
}

/// A line for an intervention.
fn told(result: &TaskResult, clean: &TaskScores) -> String {
    let change = result.scores.change_from(clean);
    let sem = change.sem.map(|sem| format!(" ± {sem:.3}")).unwrap_or_default();
    format!("{result}, change {:+.3}{sem}", change.mean)
}
