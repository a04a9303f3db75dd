//! Whether neurons together know more than each alone: does the next word end in -ing? Probes on single neurons, on the
//! best of them together, and the model's own first choice.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use stratigraph::probes::{ENSEMBLE_NEURONS, SuffixTask, ensembles};

#[derive(Parser)]
#[command(about = "Ensembles of neurons that tell whether the next word has a suffix")]
struct Args {
    #[command(flatten)]
    text: common::TextArgs,
    /// The suffix
    #[arg(long, default_value = "ing")]
    suffix: String,
    /// Tokens of context
    #[arg(long, default_value_t = SuffixTask::CONTEXT, value_parser = common::at_least::<2>)]
    context: usize,
    /// At most so many words with the suffix, and as many without
    #[arg(long, default_value_t = 500, value_parser = common::at_least::<10>)]
    words: usize,
    /// Neurons to pick by their weights
    #[arg(long, default_value_t = ENSEMBLE_NEURONS, value_parser = common::at_least::<1>)]
    neurons: usize,
    /// Decides which windows
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many neurons to show
    #[arg(long, default_value_t = 8)]
    top: usize,
    /// A new file for every neuron and every ensemble
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let (model, tokenizer, text) = args.text.load()?;
    let words = common::words(&tokenizer, &text)?;
    let task = SuffixTask::find(&words, &args.suffix, args.context, args.words, args.seed)?;
    let bar = common::bar()?;
    bar.set_length(task.windows().n_sequences() as u64);
    let texts = tokenizer.token_texts()?;
    let found = ensembles(&model, &task, &texts, args.neurons, |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();

    let (fitted, asked) = (found.n_fitted, found.model.of);
    println!("does the next word end in -{}? {fitted} windows to fit to, {asked} to ask about", args.suffix);
    println!("accuracy with its 95 % interval; the best single neurons:");
    println!("layer.neuron  association");
    for neuron in found.neurons.iter().take(args.top) {
        let (layer, index) = (neuron.layer, neuron.neuron);
        println!("{layer:5}.{index:<6}  {:11.2}  {}", neuron.association, neuron.accuracy);
    }
    for (k, accuracy) in &found.together {
        println!("{k:4} neurons together        {accuracy}");
    }
    println!("the model's first choice     {}", found.model);
    let row = |who: String, accuracy: stratigraph::probes::Proportion| {
        let (low, high) = accuracy.interval();
        [who].into_iter().chain([accuracy.share(), low, high].map(|x| x.to_string())).collect()
    };
    let alone = found.neurons.iter().map(|n| row(format!("neuron {}.{}", n.layer, n.neuron), n.accuracy));
    let together = found.together.iter().map(|(k, accuracy)| row(format!("ensemble of {k}"), *accuracy));
    let rows = alone.chain(together).chain([row("model".to_owned(), found.model)]);
    common::write_csv(args.csv.as_deref(), &["who", "accuracy", "low", "high"], rows)
}
