//! The main job: delete, swap and repeat the layers of a model, read it with lenses and probes, and show what each layer
//! does.

#[path = "../common/mod.rs"]
mod common;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Parser;
use stratigraph::Experiment;
use stratigraph::prelude::*;
use stratigraph::probes::{SuffixTask, WordEnds};
use stratigraph::report::{LayerTable, OutDir, TerminalChart};
use stratigraph::stages::Segmentation;

use common::{Loaded, Source};

#[derive(Parser)]
#[command(about = "Which layers of a language model do what: surgery, lenses and probes over its depth")]
struct Args {
    #[command(flatten)]
    source: Source,
    /// What to do, with commas between: delete, swap, lens, repeat_N (blocks of N layers twice), attention, geometry,
    /// neurons; delete_attention, delete_mlp, and the same with mean_ or resample_ before attention or mlp. By default all
    /// before the semicolon, with repeat_3 and repeat_5, that the model has layers and hooks for
    #[arg(long, value_delimiter = ',')]
    experiments: Vec<Experiment>,
    /// Leave so many positions of each window, from its start, out of geometry
    #[arg(long, default_value_t = 0)]
    skip_first: usize,
    /// A directory of Word-in-Context pairs: train.data.txt, train.gold.txt, dev.data.txt and dev.gold.txt
    #[arg(long, default_value = common::WIC)]
    wic: PathBuf,
    /// Leave out what is asked about words: Word-in-Context, merging heads, ensembles
    #[arg(long)]
    no_words: bool,
    /// Decides what is drawn at random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A new or empty directory for profile.json, layers.csv, interventions.csv, report.html and figures/*.svg
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let out = args.out.as_ref().map(OutDir::create).transpose()?;
    let source = &args.source;
    ensure!(args.skip_first < source.seq_len, "--skip-first leaves no position of a window of {}", source.seq_len);
    let loaded = source.load()?;
    let Loaded { model, windows, .. } = &loaded;

    let started = Instant::now();
    let bar = common::bar()?;
    let study = loaded.study().skip_first(args.skip_first).seed(args.seed);
    let chosen = args.experiments.iter().copied();
    let study = if args.experiments.is_empty() { study } else { study.experiments(chosen) };
    let study = if args.no_words { study } else { about_words(study, &loaded, args)? };
    let mut findings = study.on_progress(common::shown(&bar)).run(windows)?;
    bar.finish_and_clear();

    let interventions = std::mem::take(&mut findings.interventions);
    let mut profile = common::profile(source, args.seed, (&**model, windows), findings);
    profile.stages = Some(Segmentation::of(&profile));
    println!("{}\n{}", LayerTable::new(&profile), TerminalChart::new(&profile));
    println!("{}: {:.1?}", source.told(windows), started.elapsed());
    for path in out.map(|out| out.write(&profile, &interventions)).transpose()?.unwrap_or_default() {
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Adds what is asked about words; a text with too few of a kind is asked less, and that is said.
fn about_words<'a>(study: Study<'a>, loaded: &Loaded, args: &Args) -> Result<Study<'a>> {
    const MOST: usize = 256; // windows of a kind
    const SUFFIX: &str = "ing";
    let (train, test) = common::wic(&args.wic, &loaded.tokenizer)?;
    let mut study = study.wic(train, test);
    let words = common::words(&loaded.tokenizer, &loaded.text)?;
    match WordEnds::find(&words, WordEnds::USUAL, MOST, args.seed) {
        Ok(ends) => study = study.merging_heads(ends),
        Err(reason) => eprintln!("skipped: merging heads: {reason}"),
    }
    match SuffixTask::find(&words, SUFFIX, SuffixTask::CONTEXT, MOST, args.seed) {
        Ok(task) => study = study.ensembles(SUFFIX, task, loaded.tokenizer.token_texts()?),
        Err(reason) => eprintln!("skipped: ensembles: {reason}"),
    }
    Ok(study)
}
