//! `tasks --task gsm8k`: a benchmark of which the model writes the answers.

use anyhow::{Result, ensure};
use stratigraph_core::Precision;
use stratigraph_generate::Generator;
use stratigraph_study::{GenerativeResult, GenerativeRun};
use stratigraph_tasks::{GenerativeScores, GenerativeTask};

use super::{HEADER, TaskArgs, score_rows};
use crate::output::CsvFile;
use crate::{load, output, task_items};

/// Lets the model write the answers, and scores them.
pub fn run(args: &TaskArgs, task: GenerativeTask) -> Result<()> {
    ensure!(args.memory.memory.is_none(), "--memory: {task} has no budget, its texts run 16 at a time; leave it out");
    output::check_distinct([("--csv", args.csv.as_deref()), ("--per-item", args.per_item.as_deref())])?;
    let csv = args.csv.as_deref().map(CsvFile::new).transpose()?;
    let per_item = args.per_item.as_deref().map(CsvFile::new).transpose()?;
    let device = args.device.open()?;
    let path = args.model.path()?;
    let checkpoint = load::open(&path)?;
    let tokenizer = checkpoint.tokenizer()?;
    let items = args.items.chosen(&args.items.file(task.name())?).generative(task)?;
    let prompts = task_items::prompts(&items, &tokenizer, &args.items.beginning(&tokenizer)?)?;
    let loaded = load::model(&checkpoint, args.memory.stream, Precision::F32, &device)?;
    let generator = Generator::new(&*loaded.model).with_text(&tokenizer).with_stop_tokens(checkpoint.stop_tokens()?);
    let bar = output::count_bar("answers")?;
    let max_new_tokens = args.items.max_new_tokens.unwrap_or(GenerativeRun::MAX_NEW_TOKENS);
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0).saturating_add(max_new_tokens);
    let run = GenerativeRun::new(generator).interventions(args.interventions.on(&*loaded.model, longest)?);
    let run = run.with_max_new_tokens(max_new_tokens);
    let results = run.on_answered(|n| bar.inc(n as u64)).run(task, &items, &prompts);
    bar.finish_and_clear();
    let results = results?;
    let clean = &results[0].scores;
    let file = csv.map(|csv| csv.write(&HEADER, results.iter().flat_map(|result| rows(result, clean)))).transpose();
    let per_item = per_item.map(|csv| csv.write(&ITEM_HEADER, results.iter().flat_map(item_rows))).transpose();
    results.iter().try_for_each(output::line)?;
    output::line(format_args!("{} on {}", load::name(&path), args.device))?;
    output::written(file?.into_iter().chain(per_item?)) // what cannot be written was printed
}

fn rows(result: &GenerativeResult, clean: &GenerativeScores) -> Vec<Vec<String>> {
    let scores = result.scores.named().into_iter().chain(result.scores.changes_from(clean));
    score_rows((&result.name, &result.text), scores)
}

/// The columns of the CSV file of items; items are counted from 0.
const ITEM_HEADER: [&str; 6] = ["intervention", "text", "item", "answer", "strict_match", "flexible_extract"];

fn item_rows(result: &GenerativeResult) -> impl Iterator<Item = Vec<String>> {
    let number = |yes: bool| u8::from(yes).to_string();
    result.scores.items.iter().enumerate().map(move |(index, item)| {
        let exact = item.exact_match;
        let scores = [number(exact.strict_match), number(exact.flexible_extract)];
        [result.name.clone(), result.text.clone(), index.to_string(), item.text.clone()]
            .into_iter()
            .chain(scores)
            .collect()
    })
}
