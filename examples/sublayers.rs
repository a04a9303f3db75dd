//! Which half of each layer matters: attention or MLP left out, replaced by its mean, or by what it writes for another
//! window.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use stratigraph::Experiment;

#[derive(Parser)]
#[command(about = "Take attention or MLP away from each layer, in three ways, beside the whole layer")]
struct Args {
    #[command(flatten)]
    source: common::Source,
    /// A new file for every layer, way and metric
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let experiments: Vec<_> = [Experiment::Delete].into_iter().chain(Experiment::HALVES).collect();
    common::exit(|| common::surgery(&args.source, &experiments, &["kl"], args.csv.as_deref()))
}
