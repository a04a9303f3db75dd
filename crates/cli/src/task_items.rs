//! Items of benchmarks from files: [`encode`] makes tokens of them, [`TaskFileArgs`] lets a study or a job score some, and
//! [`OneTaskArgs`] a search.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Error, Result, bail, ensure};
use stratigraph_models::{Checkpoint, Tokenizer};
use stratigraph_study::Measurement;
use stratigraph_study::measurements::{GenerativeScoring, Questions, TaskScoring};
use stratigraph_surgery::Sweep;
use stratigraph_tasks::{EncodedItems, GenerativeItem, GenerativeTask, Item, Task, TaskError};

use crate::experiments::Experiment;
use crate::{args, load};

/// The tokens of items, each after those that begin every text.
pub fn encode(task: Task, items: Vec<Item>, tokenizer: &Tokenizer, start: &[u32]) -> Result<EncodedItems> {
    task.encode(items, |text| Ok::<_, Error>([start, &tokenizer.encode(text)?].concat()))
}

/// Which items of a file, and what is put before each.
#[derive(Clone, Copy)]
pub struct Chosen<'a> {
    pub path: &'a Path,
    /// How many of the first ones at most.
    pub limit: Option<NonZeroUsize>,
    /// A file of examples, of which the first ones are put before each item, and how many.
    pub examples: Option<(&'a Path, usize)>,
}

impl Chosen<'_> {
    /// The items of a benchmark whose continuations are scored.
    pub fn scored(&self, task: Task) -> Result<Vec<Item>> {
        let mut items = task.read(self.path)?;
        items.truncate(self.limit.map_or(usize::MAX, NonZeroUsize::get));
        Ok(match self.examples {
            Some((examples, k)) => task.with_examples(items, &task.read(examples)?, k)?,
            None => items,
        })
    }

    /// The items of a benchmark of which the model writes the answers.
    pub fn generative(&self, task: GenerativeTask) -> Result<Vec<GenerativeItem>> {
        let mut items = task.read(self.path)?;
        items.truncate(self.limit.map_or(usize::MAX, NonZeroUsize::get));
        Ok(match self.examples {
            Some((examples, k)) => task.with_examples(items, &task.read(examples)?, k)?,
            None => items,
        })
    }
}

/// The tokens of what a model reads of items, each after those that begin every text.
pub fn prompts(items: &[GenerativeItem], tokenizer: &Tokenizer, start: &[u32]) -> Result<Vec<Vec<u32>>> {
    items.iter().map(|item| Ok([start, &tokenizer.encode(&item.prompt())?].concat())).collect()
}

/// A benchmark of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnyTask {
    /// Continuations are scored.
    Scored(Task),
    /// The model writes answers.
    Generative(GenerativeTask),
}

impl FromStr for AnyTask {
    type Err = TaskError;

    fn from_str(name: &str) -> Result<Self, TaskError> {
        let scored = name.parse().map(AnyTask::Scored);
        scored.or_else(|_| name.parse().map(AnyTask::Generative)).map_err(|_| {
            let names = Task::ALL.map(Task::name).into_iter().chain(GenerativeTask::ALL.map(GenerativeTask::name));
            TaskError::UnknownTask { name: name.to_owned(), known: names.collect::<Vec<_>>().join(", ") }
        })
    }
}

impl fmt::Display for AnyTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnyTask::Scored(task) => task.fmt(f),
            AnyTask::Generative(task) => task.fmt(f),
        }
    }
}

/// A benchmark and a file of items, `TASK=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFile {
    task: AnyTask,
    path: PathBuf,
}

impl FromStr for TaskFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (task, path) = text.split_once('=').ok_or("it is not TASK=FILE, such as arc_easy=items.jsonl")?;
        Ok(Self { task: task.parse().map_err(|error: TaskError| error.to_string())?, path: path.into() })
    }
}

/// Benchmarks to score.
#[derive(clap::Args)]
pub struct TaskFileArgs {
    /// Score a benchmark under each sweep of --experiments, such as arc_easy=items.jsonl; may be given more than once
    ///
    /// Without a sweep among --experiments, under the deletion of each layer. `stratigraph tasks` lists the benchmarks. In gsm8k the
    /// model writes every answer under every intervention, which takes some hundred times as long as the others.
    #[arg(long = "task", value_name = "TASK=FILE", help_heading = "Measurements", hide_short_help = true)]
    tasks: Vec<TaskFile>,
    /// Score the first N items of each benchmark only
    #[arg(long, value_name = "N", requires = "tasks", help_heading = "Measurements", hide_short_help = true)]
    task_limit: Option<NonZeroUsize>,
    /// Put the first K of a benchmark's --task-examples with their answers before each item; in MMLU, the first K of its subject
    #[arg(long, value_name = "K", requires = "task_examples", help_heading = "Measurements", hide_short_help = true)]
    task_shots: Option<NonZeroUsize>,
    /// Items of another part of a benchmark, in the same form; once for each benchmark that takes examples
    #[arg(
        long,
        value_name = "TASK=FILE",
        requires_all = ["tasks", "task_shots"],
        help_heading = "Measurements",
        hide_short_help = true
    )]
    task_examples: Vec<TaskFile>,
    /// The most tokens of an answer that the model writes, in gsm8k [default: 256]
    #[arg(
        long,
        value_name = "N",
        value_parser = args::at_least::<1>,
        requires = "tasks",
        help_heading = "Measurements",
        hide_short_help = true
    )]
    task_max_new_tokens: Option<usize>,
}

/// What items are encoded with.
pub struct ItemUse<'a> {
    pub checkpoint: &'a Checkpoint,
    pub tokenizer: &'a Tokenizer,
    /// The token that begins every text.
    pub bos: Option<u32>,
}

impl TaskFileArgs {
    /// The measurements.
    pub fn measurements(&self, experiments: &[Experiment], with: &ItemUse) -> Result<Vec<Box<dyn Measurement>>> {
        let named = experiments.iter().filter_map(|experiment| match experiment {
            Experiment::Named(name) => Sweep::by_name(name),
            _ => None,
        });
        let mut sweeps: Vec<Sweep> = named.collect();
        if sweeps.is_empty() {
            sweeps.push(Sweep::delete());
        }
        self.check()?;
        self.tasks.iter().map(|file| self.measurement(file, &sweeps, with)).collect()
    }

    /// Refuses options that have no benchmark.
    fn check(&self) -> Result<()> {
        let is_asked = |task: AnyTask| self.tasks.iter().any(|file| file.task == task);
        if let Some(TaskFile { task, .. }) = self.task_examples.iter().find(|examples| !is_asked(examples.task)) {
            bail!("--task-examples {task}: there is no --task {task}; add it or leave the examples out");
        }
        for (index, TaskFile { task, .. }) in self.task_examples.iter().enumerate() {
            let is_taken = self.task_examples[..index].iter().any(|other| other.task == *task);
            ensure!(!is_taken, "--task-examples {task} is given twice");
        }
        let writes = self.tasks.iter().any(|file| matches!(file.task, AnyTask::Generative(_)));
        let is_used = writes || self.task_max_new_tokens.is_none();
        ensure!(is_used, "--task-max-new-tokens: the model writes nothing in these benchmarks; leave it out");
        Ok(())
    }

    fn measurement(&self, file: &TaskFile, sweeps: &[Sweep], with: &ItemUse) -> Result<Box<dyn Measurement>> {
        let examples = self.task_examples.iter().find(|examples| examples.task == file.task);
        let examples = examples.zip(self.task_shots).map(|(file, k)| (&*file.path, k.get()));
        let chosen = Chosen { path: &file.path, limit: self.task_limit, examples };
        let (sweeps, start) = (sweeps.iter().cloned(), Vec::from_iter(with.bos));
        Ok(match file.task {
            AnyTask::Scored(task) => {
                let items = encode(task, chosen.scored(task)?, with.tokenizer, &start)?;
                Box::new(TaskScoring::new(items, sweeps))
            }
            AnyTask::Generative(task) => {
                let items = chosen.generative(task)?;
                let prompts = prompts(&items, with.tokenizer, &start)?;
                let questions = Questions::new(task, items, prompts).with_stop_tokens(with.checkpoint.stop_tokens()?);
                let questions = self.task_max_new_tokens.into_iter().fold(questions, Questions::with_max_new_tokens);
                Box::new(GenerativeScoring::new(questions, Arc::new(with.tokenizer.clone()), sweeps))
            }
        })
    }
}

/// The benchmark that a search optimises.
#[derive(clap::Args)]
#[command(next_help_heading = "Benchmark")]
pub struct OneTaskArgs {
    /// Optimise the answers to a benchmark, such as arc_easy=items.jsonl, instead of a metric on a text
    #[arg(
        long,
        value_name = "TASK=FILE",
        conflicts_with_all = [
            "texts", "text_format", "text_field", "lossy", "sequences", "seq_len", "windows", "sample_over", "skip_first"
        ]
    )]
    pub task: Option<TaskFile>,
    /// Use the first N items only
    #[arg(long, value_name = "N", requires = "task")]
    task_limit: Option<NonZeroUsize>,
    /// Put the first K examples with their answers before each item
    #[arg(long, value_name = "K", default_value_t = 0, requires = "examples", hide_default_value = true)]
    shots: usize,
    /// A JSONL file of the same form, of another part of the benchmark
    #[arg(long, value_name = "FILE", requires_all = ["task", "shots"])]
    examples: Option<PathBuf>,
}

impl TaskFile {
    /// The name of the file, for the record.
    pub fn name(&self) -> String {
        load::name(&self.path)
    }
}

impl OneTaskArgs {
    /// The items of the benchmark; their texts begin with `bos` where there is one.
    pub fn items(&self, file: &TaskFile, tokenizer: &Tokenizer, bos: Option<u32>) -> Result<EncodedItems> {
        let AnyTask::Scored(task) = file.task else {
            let known = Task::ALL.map(Task::name).join(", ");
            bail!("--task {}: a search takes no answers that the model writes; give one of {known}", file.task);
        };
        let examples = self.examples.as_deref().map(|path| (path, self.shots));
        let items = Chosen { path: &file.path, limit: self.task_limit, examples }.scored(task)?;
        encode(task, items, tokenizer, &bos.into_iter().collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_benchmark_is_named_with_its_file() {
        let file: TaskFile = "piqa=a=b.jsonl".parse().unwrap();
        assert_eq!((file.task, file.path), (AnyTask::Scored(Task::Piqa), "a=b.jsonl".into()));
        let written: TaskFile = "gsm8k=a.jsonl".parse().unwrap();
        assert_eq!(written.task, AnyTask::Generative(GenerativeTask::Gsm8k));
        assert!("piqa".parse::<TaskFile>().unwrap_err().contains("TASK=FILE"));
        assert!("piqq=x".parse::<TaskFile>().unwrap_err().contains("unknown task `piqq`; known: lambada"));
    }
}
