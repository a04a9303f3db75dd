//! What running layers twice costs: a block of neighbouring layers, each run twice in a row, at every depth.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use stratigraph::Experiment;

#[derive(Parser)]
#[command(about = "Run blocks of neighbouring layers twice, and measure entropy and loss")]
struct Args {
    #[command(flatten)]
    source: common::Source,
    /// How many layers a block has
    #[arg(long, value_delimiter = ',', default_values_t = [3, 5], value_parser = common::at_least::<1>)]
    blocks: Vec<usize>,
    /// A new file for every block and metric
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let experiments: Vec<_> = args.blocks.iter().map(|&n_blocks| Experiment::Repeat(n_blocks)).collect();
    let metrics = ["entropy_bits", "nll"];
    common::exit(|| common::surgery(&args.source, &experiments, &metrics, args.csv.as_deref()))
}
