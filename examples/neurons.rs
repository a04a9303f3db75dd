//! Which tokens MLP neurons speak for: counts over layers, the most selective neurons with their tokens, a CSV of all.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use stratigraph::prelude::*;
use stratigraph::probes::{NeuronProfile, VocabularyDirections, vocabulary_profiles};

#[derive(Parser)]
#[command(about = "Prediction and suppression neurons, by their weights alone")]
struct Args {
    /// A GGUF file, a Hugging Face directory, or a model of the hub: ORGANISATION/NAME[@REVISION]
    #[arg(long, default_value = common::MODEL)]
    model: String,
    /// flex or ndarray on a CPU, wgpu on a GPU
    #[arg(long, default_value = "flex")]
    device: Backend,
    /// How many neurons to show, and tokens of each
    #[arg(long, default_value_t = 8)]
    top: usize,
    /// A new file for every neuron
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let checkpoint = common::open(&args.model)?;
    let tokenizer = checkpoint.tokenizer()?;
    let model = checkpoint.load(&args.device.device()?)?;
    let bar = common::bar()?;
    bar.set_length(model.n_layers() as u64);
    let layers = vocabulary_profiles(&model, |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();

    println!("layer  prediction  suppression  mean kurtosis  of neurons");
    for (layer, profiles) in layers.iter().enumerate() {
        let count = |is: fn(&NeuronProfile) -> bool| profiles.iter().filter(|profile| is(profile)).count();
        let kurtosis = profiles.iter().map(|profile| profile.kurtosis).sum::<f64>() / profiles.len() as f64;
        let (predict, suppress) = (count(NeuronProfile::is_prediction), count(NeuronProfile::is_suppression));
        println!("{layer:5}  {predict:10}  {suppress:11}  {kurtosis:13.2}  {:10}", profiles.len());
    }
    let each = |(layer, profiles): (usize, &Vec<NeuronProfile>)| {
        profiles.iter().copied().enumerate().map(move |(neuron, profile)| (layer, neuron, profile)).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = layers.iter().enumerate().flat_map(each).collect();
    let rows: Vec<_> = all
        .iter()
        .map(|&(layer, neuron, NeuronProfile { mean, variance, skew, kurtosis })| {
            let numbers = [mean, variance, skew, kurtosis].map(|x| x.to_string());
            [layer.to_string(), neuron.to_string()].into_iter().chain(numbers).collect()
        })
        .collect();
    all.sort_by(|a, b| b.2.kurtosis.total_cmp(&a.2.kurtosis));
    let directions = VocabularyDirections::of(&model, model.d_vocab())?;
    println!("\nlayer.neuron  kurtosis   skew  tokens it raises most (or lowers, where the skew is negative)");
    for (layer, neuron, profile) in all.into_iter().take(args.top) {
        let w_out = model.neuron_outputs(layer).expect("its profile was read").narrow(0, neuron, 1);
        let cosines = directions.cosines_of(w_out);
        let mut tokens: Vec<u32> = (0..cosines.len() as u32).collect();
        tokens.sort_by(|a, b| {
            (cosines[*b as usize] * profile.skew as f32).total_cmp(&(cosines[*a as usize] * profile.skew as f32))
        });
        let shown: Result<Vec<_>, _> = tokens.iter().take(args.top).map(|&id| tokenizer.decode(&[id])).collect();
        println!("{layer:5}.{neuron:<6}  {:8.1}  {:5.1}  {:?}", profile.kurtosis, profile.skew, shown?);
    }
    common::write_csv(args.csv.as_deref(), &["layer", "neuron", "mean", "variance", "skew", "kurtosis"], rows)
}
