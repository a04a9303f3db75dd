//! `stratigraph search`: the layers that can go, or the change that helps, found and validated.

mod figure;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use indicatif::ProgressBar;
use stratigraph_models::Checkpoint;
use stratigraph_report::OutDir;
use stratigraph_study::StudyError;
use stratigraph_study::job::Shard;
use stratigraph_study::search::{ModelObjective, SearchRecord, SearchRun, SearchSetup, TaskMeasure, TaskObjective};
use stratigraph_surgery::search::{Method, Objective, Operator, SearchOptions};
use stratigraph_surgery::{Budget, Intervention};

use crate::args::{self, DeviceArgs, MemoryArgs, ModelArgs, PrecisionArgs, at_least};
use crate::corpus::TextArgs;
use crate::load::LoadedModel;
use crate::task_items::OneTaskArgs;
use crate::{load, output};

/// The arguments of `search`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph search --remove 4 --out pruned\n  \
    stratigraph search --operators repeat_block,swap --method beam --objective kl --sequences 64 --out changed --shard 0/2\n  \
    stratigraph search --task arc_easy=arc_easy.jsonl --objective acc --remove 2 --out answers")]
pub struct SearchArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    text: TextArgs,
    #[command(flatten)]
    options: OptionArgs,
    #[command(flatten)]
    task: OneTaskArgs,
    #[command(flatten)]
    pub devices: DeviceArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    /// A directory for search.json, search.md, search.svg and plan.txt; an interrupted search continues from it
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Be one of N processes that do the same search in the same --out, counted from 0, such as 0/2 and 1/2
    #[arg(long, value_name = "I/N", requires = "out", help_heading = "Output")]
    shard: Option<Shard>,
}

/// What to optimise.
#[derive(clap::Args)]
#[command(next_help_heading = "Search")]
struct OptionArgs {
    /// What to optimise: loss, kl, or any other metric [default: loss]; with --task acc, acc_norm or log_prob [default: log_prob]
    ///
    /// Fractions, such as accuracy and top1_agreement, and answers to a benchmark are maximised; all other metrics are
    /// minimised. log_prob is the log-probability of the right answer.
    #[arg(long, value_name = "METRIC")]
    objective: Option<String>,
    /// Changes to try, separated by commas: delete, delete_attention, delete_mlp, repeat_block, swap
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "delete")]
    operators: Vec<Operator>,
    /// How plans are explored: from the best one, from the --width best ones, or from the best one in --restarts random starts
    #[arg(long, value_name = "METHOD", default_value = "greedy")]
    method: MethodArg,
    /// How many layers or sublayers to remove, whatever the cost
    #[arg(long, value_name = "N", default_value_t = 0)]
    remove: usize,
    /// How many changes to make at most after the removals, as long as each improves the objective [default: 1 without --remove]
    #[arg(long, value_name = "N")]
    changes: Option<usize>,
    /// beam: the number of plans in it [default: 4]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    width: Option<usize>,
    /// random: the number of starts [default: 4]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    restarts: Option<usize>,
    /// repeat_block: the most layers of the block [default: 8]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    longest_block: Option<usize>,
    /// The most windows to evaluate, over all candidates and without validation
    #[arg(long, value_name = "WINDOWS")]
    budget: Option<usize>,
    /// The number of windows on which all candidates are compared first [default: an eighth of the windows]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    first_windows: Option<usize>,
    /// The plan to begin with, such as `0..14-12..30` [default: the unchanged model]
    #[arg(long, value_name = "PLAN", value_parser = args::intervention)]
    from: Option<Intervention>,
    /// A plan with which the best one is compared at the end; may be given more than once
    #[arg(long, value_name = "PLAN", value_parser = args::intervention)]
    compare: Vec<Intervention>,
    /// The seed of everything that is drawn at random: windows, the held-out part, candidates
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// How plans are explored.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MethodArg {
    Greedy,
    Beam,
    Random,
}

impl OptionArgs {
    fn metric(&self) -> &str {
        self.objective.as_deref().filter(|objective| *objective != "loss").unwrap_or("nll")
    }

    fn measure(&self) -> Result<TaskMeasure> {
        Ok(self.objective.as_deref().map_or(Ok(TaskMeasure::LogProb), str::parse)?)
    }

    /// Refuses options that would not be used.
    fn check(&self) -> Result<()> {
        let of = |is_given: bool, is_used: bool, option: &str, needed: &str| {
            ensure!(is_used || !is_given, "{option} is for {needed}");
            Ok(())
        };
        of(self.width.is_some(), self.method == MethodArg::Beam, "--width", "--method beam")?;
        of(self.restarts.is_some(), self.method == MethodArg::Random, "--restarts", "--method random")?;
        let repeats = self.operators.contains(&Operator::RepeatBlock);
        of(self.longest_block.is_some(), repeats, "--longest-block", "--operators repeat_block")
    }

    fn options(&self) -> Result<SearchOptions> {
        const NUMBER: usize = 4;
        self.check()?;
        let changes = self.changes.unwrap_or(usize::from(self.remove == 0));
        let mut options = SearchOptions::changing(changes, self.operators.iter().copied())
            .with_removals(self.remove)
            .with_seed(self.seed)
            .with_method(match self.method {
                MethodArg::Greedy => Method::Greedy,
                MethodArg::Beam => Method::Beam { width: self.width.unwrap_or(NUMBER) },
                MethodArg::Random => Method::Random { restarts: self.restarts.unwrap_or(NUMBER) },
            });
        options = self.longest_block.into_iter().fold(options, SearchOptions::with_longest_block);
        options.budget = self.budget;
        options.first_windows = self.first_windows;
        options.check()?;
        Ok(options)
    }
}

/// Searches, and validates.
pub fn run(args: &SearchArgs) -> Result<()> {
    let options = args.options.options()?;
    let out = args.out.as_deref().map(|out| directory(out, args.shard.is_some())).transpose()?;
    let path = args.model.path()?;
    let checkpoint = load::open(&path)?;
    let tokenizer = checkpoint.tokenizer()?;
    let record = match &args.task.task {
        Some(file) => {
            let items = args.task.items(file, &tokenizer, args.text.bos(&tokenizer)?)?;
            let measure = args.options.measure()?;
            let (models, budget) = loaded(args, &checkpoint)?;
            let bar = output::count_bar("items evaluated")?;
            let objective = TaskObjective::new(&*models[0].model, &items, measure)?;
            let objective = objective.with_budget(budget).on_evaluated(|n| bar.inc(n as u64));
            let mut replicas = models[1..].iter();
            let mut objective = replicas.try_fold(objective, |it, replica| it.also_on(&*replica.model))?;
            let setup = SearchSetup::of_task(&objective, options).with_names(load::name(&path), file.name());
            search(args, setup.with_model_sha256(checkpoint.sha256()?), out.as_deref(), (&mut objective, &bar))
        }
        None => {
            let windows = args.text.cut(&args.text.corpus()?, &tokenizer, args.options.seed)?;
            let (models, budget) = loaded(args, &checkpoint)?;
            let bar = output::count_bar("windows evaluated")?;
            let objective = ModelObjective::new(&*models[0].model, &windows, args.options.metric())?;
            let objective = objective.with_budget(budget).on_evaluated(|n| bar.inc(n as u64));
            let mut replicas = models[1..].iter();
            let mut objective = replicas.try_fold(objective, |it, replica| it.also_on(&*replica.model))?;
            let setup = SearchSetup::new(&objective, options).with_names(load::name(&path), args.text.name()?);
            search(args, setup.with_model_sha256(checkpoint.sha256()?), out.as_deref(), (&mut objective, &bar))
        }
    }?;
    let files = out.map(|out| write(&out, &record)).transpose()?.unwrap_or_default();
    output::line(record.to_string().trim_end())?;
    output::written(files)
}

/// The model on each device, and the budget of each.
fn loaded(args: &SearchArgs, checkpoint: &Checkpoint) -> Result<(Vec<LoadedModel>, Budget)> {
    let models = load::models(checkpoint, args.memory.stream, args.precision.precision, &args.devices.open()?)?;
    let budget = load::budget(&args.memory, &models, None)?;
    Ok((models, budget))
}

/// Searches for an objective.
fn search(
    args: &SearchArgs,
    setup: SearchSetup,
    out: Option<&Path>,
    (objective, bar): (&mut dyn Objective<Error = StudyError>, &ProgressBar),
) -> Result<SearchRecord> {
    let setup = setup.with_compared(args.options.compare.iter().cloned());
    let setup = args.options.from.iter().cloned().fold(setup, SearchSetup::with_start);
    let search = out.into_iter().fold(SearchRun::new(setup), SearchRun::in_directory);
    let search = args.shard.into_iter().fold(search, SearchRun::with_shard);
    let record = search.run(objective);
    bar.finish_and_clear();
    Ok(record?)
}

/// A directory that is new, empty, or of an earlier run of the search. Other shards may already write there.
fn directory(path: &Path, is_shared: bool) -> Result<PathBuf> {
    if is_shared {
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
    }
    let has_begun = path.join(SearchRun::FILE).is_file();
    let goes_on = has_begun || path.is_dir() && SearchRun::is_unfinished(path)?;
    if !goes_on {
        OutDir::create(path)?;
    }
    Ok(path.to_owned())
}

/// Writes the results of the search next to its record.
fn write(out: &Path, record: &SearchRecord) -> Result<Vec<PathBuf>> {
    ensure!(record.state.stop.is_some(), "the search has not ended");
    let plan = format!("{}\n", record.state.best());
    let files =
        [("plan.txt", plan), ("search.md", record.to_string()), ("search.svg", figure::figure(record).to_string())];
    let mut written = vec![out.join(SearchRun::FILE)];
    for (name, content) in files {
        let path = out.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        written.push(path);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use clap::{Args, Parser};

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        options: OptionArgs,
    }

    fn options(arguments: &[&str]) -> Result<SearchOptions> {
        Options::parse_from([&["search"], arguments].concat()).options.options()
    }

    #[test]
    fn arguments_are_options() {
        let prune = options(&["--remove", "4", "--method", "beam", "--width", "3", "--budget", "100"]).unwrap();
        let expected = SearchOptions::removing(4, Operator::Delete).with_method(Method::Beam { width: 3 });
        assert_eq!(prune, expected.with_budget(100));
        let repeat = options(&["--operators", "repeat_block,swap"]).unwrap();
        assert_eq!(repeat, SearchOptions::changing(1, [Operator::RepeatBlock, Operator::Swap]));
        let refused = options(&["--remove", "4", "--operators", "swap"]).unwrap_err().to_string();
        assert!(refused.contains("no operator removes one"), "{refused}");
    }

    #[test]
    fn an_option_that_would_not_be_used_is_refused() {
        let refused = |arguments: &[&str]| options(arguments).unwrap_err().to_string();
        assert_eq!(refused(&["--remove", "4", "--width", "3"]), "--width is for --method beam");
        assert_eq!(refused(&["--method", "beam", "--restarts", "3"]), "--restarts is for --method random");
        assert_eq!(refused(&["--longest-block", "3"]), "--longest-block is for --operators repeat_block");
        let search = || SearchArgs::augment_args(clap::Command::new("search"));
        let parsed =
            |more: &[&str]| search().try_get_matches_from([&["search", "--task", "piqa=x.jsonl"], more].concat());
        assert!(parsed(&["--bos", "never", "--protocol", "paper"]).is_ok());
        for option in [["--text", "a.txt"], ["--sequences", "5"], ["--skip-first", "1"]] {
            let error = parsed(&option).unwrap_err().to_string();
            assert!(error.contains("cannot be used with") && error.contains(option[0]), "{error}");
        }
    }
}
