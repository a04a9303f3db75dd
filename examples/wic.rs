//! Where a word's sense is known: a linear probe on Word-in-Context pairs at every depth, beside what needs no layer.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use stratigraph::probes::{Proportion, WicOptions, WicTokens, wic_accuracy};

#[derive(Parser)]
#[command(about = "How well a linear probe tells whether a word means the same in two sentences, by depth")]
struct Args {
    #[command(flatten)]
    model: common::ModelArgs,
    /// A directory with train.data.txt, train.gold.txt, dev.data.txt and dev.gold.txt
    #[arg(long, default_value = common::WIC)]
    wic: PathBuf,
    /// Fit to no more than so many pairs, the first ones
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    pairs: usize,
    /// Fit to answers in a random order: what comes out is chance
    #[arg(long)]
    shuffle: bool,
    /// Decides how cross-validation divides the pairs, and how answers are shuffled
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A new file for every place
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let (model, tokenizer) = args.model.load()?;
    let (train, test) = common::wic(&args.wic, &tokenizer)?;
    let train = train.take(args.pairs);
    let options = WicOptions { seed: args.seed, ..WicOptions::default() };
    let train: WicTokens = if args.shuffle { train.with_shuffled_answers(args.seed) } else { train };
    let bar = common::bar()?;
    bar.set_length(1000);
    let found = wic_accuracy(&model, (&train, &test), &options, |done| bar.set_position((1000.0 * done) as u64))?;
    bar.finish_and_clear();

    println!("{} pairs to fit to, {} to ask about; accuracy with its 95 % interval", train.len(), test.len());
    println!("always the commoner answer  {:.3}", found.majority);
    println!("embeddings of the sentence  {}", found.static_embedding.accuracy());
    let last = found.places.len() - 1;
    let name = |place: usize| if place == last { "end".to_owned() } else { place.to_string() };
    for (place, probe) in found.places.iter().enumerate() {
        println!("before layer {:>4}           {}  penalty {}", name(place), probe.accuracy(), probe.strength);
    }
    let row = |(place, accuracy, strength): (String, Proportion, f64)| {
        let (low, high) = accuracy.interval();
        let numbers = [accuracy.share(), low, high, strength].map(|x| x.to_string());
        [place].into_iter().chain(numbers).collect()
    };
    let places = found.places.iter().enumerate().map(|(place, probe)| (name(place), probe));
    let all = places.chain([("static".to_owned(), &found.static_embedding)]);
    let rows = all.map(|(name, probe)| row((name, probe.accuracy(), probe.strength)));
    common::write_csv(args.csv.as_deref(), &["place", "accuracy", "low", "high", "penalty"], rows)
}
