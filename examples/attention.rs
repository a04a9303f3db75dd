//! How far each attention head looks back: a table over layers, the heads that do it most, and a CSV of all heads.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use stratigraph::probes::{AttentionHeads, AttentionMeasure};

use common::Source;

#[derive(Parser)]
#[command(about = "How far the attention of each layer and head looks back")]
struct Args {
    #[command(flatten)]
    source: Source,
    /// How many heads to name for each measure
    #[arg(long, default_value_t = 3)]
    top: usize,
    /// A new file for every measure of every head
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let loaded = args.source.load_one()?;
    let windows = &loaded.windows;
    let mut heads = AttentionHeads::new(&AttentionMeasure::USUAL, windows.seq_len(), &loaded.model.device());
    loaded.observe(&mut [&mut heads])?;

    println!("{:28} by layer, from 0", "");
    for &measure in heads.measures() {
        let layers = heads.layers(measure);
        let numbers: String = layers.iter().map(|layer| format!(" {:.3}", layer.summary().mean)).collect();
        println!("{:28}{numbers}", measure.to_string());
    }
    println!("\nheads with most of it:");
    let mut rows = Vec::new();
    for &measure in heads.measures() {
        let mut ranked = Vec::new();
        for (layer, of_layer) in heads.heads(measure).into_iter().enumerate() {
            for (head, numbers) in of_layer.into_iter().enumerate() {
                ranked.push((layer, head, numbers.summary()));
            }
        }
        let row = |(layer, head, summary): &(usize, usize, stratigraph::probes::statistics::Summary)| {
            let sem = summary.sem.map(|sem| sem.to_string()).unwrap_or_default();
            vec![layer.to_string(), head.to_string(), measure.to_string(), summary.mean.to_string(), sem]
        };
        rows.extend(ranked.iter().map(row));
        ranked.sort_by(|a, b| b.2.mean.total_cmp(&a.2.mean));
        let named = ranked.iter().take(args.top).map(|(layer, head, s)| format!(" {layer}.{head} ({:.3})", s.mean));
        println!("{:28}{}", measure.to_string(), named.collect::<String>());
    }
    println!("{}", args.source.told(windows));
    common::write_csv(args.csv.as_deref(), &["layer", "head", "measure", "mean", "sem"], rows)
}
