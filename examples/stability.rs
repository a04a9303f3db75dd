//! How often the stages of a model are wrong: false ones in random weights and in its own layers shuffled, and boundaries
//! that move when the windows, the text or the length of windows change.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use stratigraph::Experiment;
use stratigraph::core::SplitMix64;
use stratigraph::prelude::*;
use stratigraph::stages::{Profile, Rule, Segmentation};
use stratigraph::surgery::Rearranged;

use common::Source;

#[derive(Parser)]
#[command(about = "Rates of false stages and of boundaries that stay put")]
struct Args {
    #[command(flatten)]
    source: Source,
    /// Another text, for the same model
    #[arg(long)]
    other: Option<PathBuf>,
    /// So many random weights, and so many shuffles
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// At most so many stretches of a text with windows of each kind
    #[arg(long, default_value_t = 4)]
    stretches: usize,
    /// So many draws of half of the windows
    #[arg(long, default_value_t = 100)]
    halves: u64,
}

/// What the rule reads, but for Word-in-Context.
const READ: [Experiment; 6] = [
    Experiment::Delete,
    Experiment::Swap,
    Experiment::Lens,
    Experiment::Attention,
    Experiment::Geometry,
    Experiment::Neurons,
];

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let source = &args.source;
    let common::Loaded { model, budget, windows, tokenizer, text, .. } = source.load_one()?;
    let model = &*model;
    let others = other_windows(args, model, &tokenizer, &text)?;
    let measure = |model: &dyn ResidualModel, windows: &TokenWindows| -> Result<Profile> {
        let findings = Study::new(model).budget(budget).experiments(READ).run(windows)?;
        Ok(common::profile(source, 0, (model, windows), findings))
    };
    let whole = measure(model, &windows)?;
    let stages = Segmentation::of(&whole);
    println!("{stages}\n\n{}", source.told(&windows));

    let guessing = Rule { must_predict: false, ..Rule::default() };
    let mut nulls = [("random weights", 0, 0), ("layers shuffled", 0, 0)];
    let bar = common::bar()?;
    bar.set_length(2 * args.seeds);
    let checkpoint = common::open(&source.text.model.model)?;
    for seed in 0..args.seeds {
        let random = checkpoint.config().init(seed, &model.device())?;
        let order = LayerPlan::full(model.n_layers()).shuffle(0..model.n_layers(), seed)?;
        let shuffled = Rearranged::new(model, &order)?;
        for ((_, by_rule, unless), null) in nulls.iter_mut().zip([&random as &dyn ResidualModel, &shuffled]) {
            let profile = measure(null, &windows)?;
            *by_rule += usize::from(Segmentation::of(&profile).has_stages());
            *unless += usize::from(Segmentation::with(&profile, &guessing).has_stages());
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    for (name, by_rule, unless) in nulls {
        println!("{name}, said to have stages: {by_rule} of {}", args.seeds);
        println!("    without the test that the model predicts: {unless} of {}", args.seeds);
    }
    let compare = |what: &str, others: Vec<Segmentation>| {
        let n: usize = others.iter().map(|other| stages.boundaries.len().max(other.boundaries.len())).sum();
        let again: usize = others.iter().map(|other| stages.found_again(other, 1)).sum();
        println!("{what}: {again} of {n} boundaries of either within one layer");
    };
    compare("half of the windows", (0..args.halves).map(|seed| half(&whole, seed)).collect());
    for (what, others) in others {
        let others = others.iter().map(|windows| Ok(Segmentation::of(&measure(model, windows)?)));
        compare(&what, others.collect::<Result<_>>()?);
    }
    Ok(())
}

/// Other windows of the same text, windows half and twice as long, and of another text: as many of each as there are, one
/// after the other.
fn other_windows(
    args: &Args,
    model: &dyn ResidualModel,
    tokenizer: &Tokenizer,
    text: &str,
) -> Result<Vec<(String, Vec<TokenWindows>)>> {
    let n = args.source.sequences as usize;
    let cut = |text: &str, seq_len: usize, skip: usize| -> Result<Vec<TokenWindows>> {
        let ids = tokenizer.encode(text)?;
        let stretches = ids.get(skip..).unwrap_or_default().chunks_exact(n * seq_len).take(args.stretches);
        Ok(stretches.map(|ids| TokenWindows::new(ids, seq_len)).collect::<Result<_, _>>()?)
    };
    let seq_len = args.source.seq_len;
    let fits = |seq_len: usize| seq_len > 1 && model.n_ctx().is_none_or(|n_ctx| seq_len <= n_ctx);
    let mut others = vec![("other windows of the text".to_owned(), cut(text, seq_len, n * seq_len)?)];
    for (what, seq_len) in [("half", seq_len / 2), ("twice", seq_len * 2)].into_iter().filter(|(_, n)| fits(*n)) {
        others.push((format!("windows {what} as long"), cut(text, seq_len, 0)?));
    }
    if let Some(path) = &args.other {
        let other = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        others.push(("another text".to_owned(), cut(&other, seq_len, 0)?));
    }
    Ok(others.into_iter().filter(|(_, windows)| !windows.is_empty()).collect())
}

/// The stages by half of the windows, drawn.
fn half(whole: &Profile, seed: u64) -> Segmentation {
    let mut windows: Vec<usize> = (0..whole.corpus.n_sequences).collect();
    SplitMix64::new(seed).shuffle(&mut windows);
    windows.truncate(windows.len().div_ceil(2));
    Segmentation::of(&whole.of_windows(&windows))
}
