//! Which tokens MLP neurons speak for: counts over layers, the most selective neurons with the tokens they raise and lower,
//! those that speak for no token at all, those that speak for a class of tokens, and a CSV of every neuron.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use stratigraph::prelude::*;
use stratigraph::probes::{
    NeuronProfile, NullSpace, TokenClass, VocabularyDirections, class_association, vocabulary_profiles,
};

#[derive(Parser)]
#[command(about = "Prediction, suppression and entropy neurons, by their weights alone")]
struct Args {
    #[command(flatten)]
    model: common::ModelArgs,
    /// How many neurons to show, and tokens of each
    #[arg(long, default_value_t = 5)]
    top: usize,
    /// A new file for every neuron
    #[arg(long)]
    csv: Option<PathBuf>,
}

struct Neuron {
    layer: usize,
    index: usize,
    profile: NeuronProfile,
    null_share: f64,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let (model, tokenizer) = args.model.load()?;
    let bar = common::bar()?;
    bar.set_length(model.n_layers() as u64);
    let layers = vocabulary_profiles(&model, |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let null_space = NullSpace::of(&model, NullSpace::usual_size(&model))?;
    let mut neurons = Vec::new();
    for (layer, profiles) in layers.into_iter().enumerate() {
        let shares = null_space.shares(w_out(&model, layer));
        let of_layer = profiles.into_iter().zip(shares).enumerate();
        neurons.extend(of_layer.map(|(index, (profile, null_share))| Neuron { layer, index, profile, null_share }));
    }
    print_layers(&model, &neurons);
    let texts = tokenizer.token_texts()?;
    let directions = VocabularyDirections::usual(&model)?;
    let most = |by: fn(&Neuron) -> f64| {
        let mut ranked: Vec<&Neuron> = neurons.iter().collect();
        ranked.sort_by(|a, b| by(b).total_cmp(&by(a)));
        ranked.truncate(args.top);
        ranked
    };
    println!("\nthe most selective neurons\nlayer.neuron  kurtosis   skew  tokens raised most, and lowered most");
    for Neuron { layer, index, profile, .. } in most(|neuron| neuron.profile.kurtosis) {
        let cosines = directions.cosines_of(w_out(&model, *layer).narrow(0, *index, 1));
        let mut tokens: Vec<usize> = (0..cosines.len().min(texts.len())).collect();
        tokens.sort_by(|a, b| cosines[*b].total_cmp(&cosines[*a]));
        let raised: Vec<&str> = tokens.iter().take(args.top).map(|&id| texts[id].as_str()).collect();
        let lowered: Vec<&str> = tokens.iter().rev().take(args.top).map(|&id| texts[id].as_str()).collect();
        println!("{layer:5}.{index:<6}  {:8.1}  {:5.1}  {raised:?} {lowered:?}", profile.kurtosis, profile.skew);
    }
    println!("\nneurons that hardly move any logit: entropy neurons\nlayer.neuron  share in the null space");
    for Neuron { layer, index, null_share, .. } in most(|neuron| neuron.null_share) {
        println!("{layer:5}.{index:<6}  {null_share:.3}");
    }
    println!("\nthe neuron that speaks most for a class of tokens: mean cosine with it less that with others");
    for class in TokenClass::usual() {
        let belongs: Vec<bool> = texts.iter().map(|text| class.contains(text)).collect();
        let mut best = (0, 0, f64::NEG_INFINITY);
        if !belongs.contains(&true) {
            continue;
        }
        for layer in 0..model.n_layers() {
            let differences = class_association(&model, &directions, layer, &belongs)?;
            let of_layer = differences.into_iter().enumerate().map(|(index, difference)| (layer, index, difference));
            best = of_layer.chain([best]).max_by(|a, b| a.2.total_cmp(&b.2)).expect("one is given");
        }
        let n = belongs.iter().filter(|belongs| **belongs).count();
        println!("{:14} {n:6} tokens  {:5}.{:<6}  {:6.3}", class.to_string(), best.0, best.1, best.2);
    }
    let rows = neurons.iter().map(|Neuron { layer, index, profile: p, null_share }| {
        let numbers = [p.mean, p.variance, p.skew, p.kurtosis, *null_share].map(|x| x.to_string());
        [layer.to_string(), index.to_string()].into_iter().chain(numbers).collect()
    });
    let header = ["layer", "neuron", "mean", "variance", "skew", "kurtosis", "null_space_share"];
    common::write_csv(args.csv.as_deref(), &header, rows)
}

fn w_out(model: &Decoder, layer: usize) -> burn::tensor::Tensor<2> {
    model.neuron_outputs(layer).expect("the decoder tells its weights")
}

fn print_layers(model: &Decoder, neurons: &[Neuron]) {
    println!("layer  prediction  suppression  mean kurtosis  most in the null space  of neurons");
    for layer in 0..model.n_layers() {
        let here: Vec<&Neuron> = neurons.iter().filter(|neuron| neuron.layer == layer).collect();
        let predict = here.iter().filter(|neuron| neuron.profile.is_prediction()).count();
        let suppress = here.iter().filter(|neuron| neuron.profile.is_suppression()).count();
        let kurtosis = here.iter().map(|neuron| neuron.profile.kurtosis).sum::<f64>() / here.len() as f64;
        let null = here.iter().map(|neuron| neuron.null_share).fold(0.0, f64::max);
        println!("{layer:5}  {predict:10}  {suppress:11}  {kurtosis:13.2}  {null:22.3}  {:10}", here.len());
    }
}
