//! Items of benchmarks from files: [`encode`] makes tokens of them, [`TaskFileArgs`] lets a study or a job score some, and
//! [`OneTaskArgs`] a search.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Error, Result};
use stratigraph_models::Tokenizer;
use stratigraph_study::Measurement;
use stratigraph_study::measurements::TaskScoring;
use stratigraph_surgery::Sweep;
use stratigraph_tasks::{EncodedItems, Item, Task};

use crate::experiments::Experiment;
use crate::load;

/// The tokens of items, each after those that begin every text.
pub fn encode(task: Task, items: Vec<Item>, tokenizer: &Tokenizer, start: &[u32]) -> Result<EncodedItems> {
    task.encode(items, |text| Ok::<_, Error>([start, &tokenizer.encode(text)?].concat()))
}

/// A benchmark and the file of its items, `TASK=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFile {
    task: Task,
    path: PathBuf,
}

impl FromStr for TaskFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (task, path) = text.split_once('=').ok_or("it is not TASK=FILE, such as arc_easy=items.jsonl")?;
        Ok(Self {
            task: task.parse().map_err(|error: stratigraph_tasks::TaskError| error.to_string())?,
            path: path.into(),
        })
    }
}

/// Benchmarks to score.
#[derive(clap::Args)]
pub struct TaskFileArgs {
    /// Score a benchmark under each sweep of --experiments, such as arc_easy=items.jsonl; may be given more than once
    ///
    /// Without a sweep among --experiments, under the deletion of each layer. `stratigraph tasks` lists the benchmarks.
    #[arg(long = "task", value_name = "TASK=FILE", help_heading = "Measurements", hide_short_help = true)]
    tasks: Vec<TaskFile>,
    /// Score the first N items of each benchmark only
    #[arg(long, value_name = "N", requires = "tasks", help_heading = "Measurements", hide_short_help = true)]
    task_limit: Option<NonZeroUsize>,
}

impl TaskFileArgs {
    /// The measurements; texts of items begin with `bos` where there is one.
    pub fn measurements(
        &self,
        experiments: &[Experiment],
        tokenizer: &Tokenizer,
        bos: Option<u32>,
    ) -> Result<Vec<Box<dyn Measurement>>> {
        let named = experiments.iter().filter_map(|experiment| match experiment {
            Experiment::Named(name) => Sweep::by_name(name),
            _ => None,
        });
        let mut sweeps: Vec<Sweep> = named.collect();
        if sweeps.is_empty() {
            sweeps.push(Sweep::delete());
        }
        let scoring = |TaskFile { task, path }: &TaskFile| -> Result<Box<dyn Measurement>> {
            let mut items = task.read(path)?;
            items.truncate(self.task_limit.map_or(usize::MAX, NonZeroUsize::get));
            let start: Vec<u32> = bos.into_iter().collect();
            Ok(Box::new(TaskScoring::new(encode(*task, items, tokenizer, &start)?, sweeps.iter().cloned())))
        };
        self.tasks.iter().map(scoring).collect()
    }
}

/// The benchmark that a search optimises.
#[derive(clap::Args)]
#[command(next_help_heading = "Benchmark")]
pub struct OneTaskArgs {
    /// Optimise the answers to a benchmark, such as arc_easy=items.jsonl, instead of a metric on a text
    #[arg(long, value_name = "TASK=FILE")]
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
        let TaskFile { task, path } = file;
        let mut items = task.read(path)?;
        items.truncate(self.task_limit.map_or(usize::MAX, NonZeroUsize::get));
        if let Some(examples) = &self.examples {
            items = task.with_examples(items, &task.read(examples)?, self.shots)?;
        }
        encode(*task, items, tokenizer, &bos.into_iter().collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_benchmark_is_named_with_its_file() {
        let file: TaskFile = "piqa=a=b.jsonl".parse().unwrap();
        assert_eq!((file.task, file.path), (Task::Piqa, "a=b.jsonl".into()));
        assert!("piqa".parse::<TaskFile>().unwrap_err().contains("TASK=FILE"));
        assert!("piqq=x".parse::<TaskFile>().unwrap_err().contains("unknown task `piqq`; known: lambada"));
    }
}
