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
    /// How much it speaks for each class of tokens.
    classes: Vec<f64>,
}

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let (model, tokenizer) = args.model.load()?;
    let bar = common::bar()?;
    bar.set_length(model.n_layers() as u64);
    let layers = vocabulary_profiles(&model, |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let null_space = NullSpace::of(&model, NullSpace::usual_size(&model))?;
    let (texts, directions) = (tokenizer.token_texts()?, VocabularyDirections::usual(&model)?);
    let belongs = |class: &TokenClass| -> Vec<bool> { texts.iter().map(|text| class.contains(text)).collect() };
    let classes = TokenClass::usual().into_iter().map(|class| (belongs(&class), class));
    let classes: Vec<_> = classes.filter(|(belongs, _)| belongs.contains(&true)).collect();
    let mut neurons = Vec::new();
    for (layer, profiles) in layers.into_iter().enumerate() {
        let shares = null_space.shares(w_out(&model, layer));
        let associations = classes.iter().map(|(belongs, _)| class_association(&model, &directions, layer, belongs));
        let associations = associations.collect::<Result<Vec<_>, _>>()?;
        neurons.extend(profiles.into_iter().zip(shares).enumerate().map(|(index, (profile, null_share))| {
            let classes = associations.iter().map(|of_class| of_class[index]).collect();
            Neuron { layer, index, profile, null_share, classes }
        }));
    }
    print_layers(&model, &neurons);
    let most = |by: fn(&Neuron) -> f64| {
        let mut ranked: Vec<&Neuron> = neurons.iter().filter(|neuron| by(neuron).is_finite()).collect();
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
    for (place, (belongs, class)) in classes.iter().enumerate() {
        let best = neurons.iter().max_by(|a, b| a.classes[place].total_cmp(&b.classes[place]));
        let Some(Neuron { layer, index, classes, .. }) = best else { break };
        let n = belongs.iter().filter(|belongs| **belongs).count();
        println!("{:14} {n:6} tokens  {layer:5}.{index:<6}  {:6.3}", class.to_string(), classes[place]);
    }
    let rows = neurons.iter().map(|Neuron { layer, index, profile: p, null_share, classes }| {
        let numbers = [p.mean, p.variance, p.skew, p.kurtosis, *null_share].into_iter().chain(classes.iter().copied());
        [layer.to_string(), index.to_string()].into_iter().chain(numbers.map(|x| x.to_string())).collect()
    });
    let names: Vec<String> = classes.iter().map(|(_, class)| class.to_string()).collect();
    let header = ["layer", "neuron", "mean", "variance", "skew", "kurtosis", "null_space_share"];
    let header: Vec<&str> = header.into_iter().chain(names.iter().map(String::as_str)).collect();
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
        let known: Vec<f64> = here.iter().map(|neuron| neuron.profile.kurtosis).filter(|x| x.is_finite()).collect();
        let kurtosis = known.iter().sum::<f64>() / known.len() as f64;
        let null = here.iter().map(|neuron| neuron.null_share).fold(0.0, f64::max);
        println!("{layer:5}  {predict:10}  {suppress:11}  {kurtosis:13.2}  {null:22.3}  {:10}", here.len());
    }
}
