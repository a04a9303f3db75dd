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
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let source = &args.source;
    let common::Loaded { model, windows, tokenizer, text } = source.load()?;
    let measure = |model: &dyn ResidualModel, windows: &TokenWindows| -> Result<Profile> {
        let findings = Study::new(model).experiments(READ).run(windows)?;
        Ok(common::profile(source, 0, (model, windows), findings))
    };
    let whole = measure(&model, &windows)?;
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
        let shuffled = Rearranged::new(&model, &order)?;
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
    let n = stages.boundaries.len();
    let again: usize = (0..args.halves).map(|seed| stages.found_again(&half(&whole, seed), 1)).sum();
    println!("half of the windows, boundaries within one layer: {again} of {}", args.halves as usize * n);
    let told = |what: &str, windows: &TokenWindows| -> Result<()> {
        let other = Segmentation::of(&measure(&model, windows)?);
        println!("{what}, boundaries within one layer: {} of {n}", stages.found_again(&other, 1));
        Ok(())
    };
    let cut = |text: &str, seq_len: usize| -> Result<TokenWindows> {
        Ok(TokenWindows::new(&tokenizer.encode(text)?, seq_len)?.take(source.sequences as usize))
    };
    told("windows half as long", &cut(&text, source.seq_len / 2)?)?;
    if let Some(path) = &args.other {
        let other = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        told("another text", &cut(&other, source.seq_len)?)?;
    }
    Ok(())
}

/// The stages by half of the windows, drawn.
fn half(whole: &Profile, seed: u64) -> Segmentation {
    let mut windows: Vec<usize> = (0..whole.corpus.n_sequences).collect();
    SplitMix64::new(seed).shuffle(&mut windows);
    windows.truncate(windows.len().div_ceil(2));
    Segmentation::of(&whole.of_windows(&windows))
}
