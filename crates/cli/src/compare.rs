//! `stratigraph compare`: profiles of several models on one page over relative depth.

use std::path::PathBuf;

use anyhow::Result;
use stratigraph_report::Comparison;

use crate::output;

/// The arguments of `compare`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph compare */profile.json --families SmolLM2,Qwen --out comparison\n  \
    stratigraph compare run-*/profile.json --checkpoints 0,1,10,100 --out training")]
pub struct CompareArgs {
    /// Files that studies wrote: profile.json
    #[arg(required = true, value_name = "PROFILE")]
    profiles: Vec<PathBuf>,
    /// Families of models that are drawn as their mean, comma-separated: parts of the models' names
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    families: Vec<String>,
    /// Labels of the profiles as checkpoints of one training run, in their order, comma-separated: 0,1,10,100
    #[arg(long, value_name = "LABEL,...", value_delimiter = ',')]
    checkpoints: Vec<String>,
    /// A directory for compare.html and figures/compared-*.svg, which must not exist there yet
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: PathBuf,
}

/// Writes and prints the comparison.
pub fn run(args: &CompareArgs) -> Result<()> {
    let mut comparison = Comparison::read(&args.profiles)?.with_families(&args.families)?;
    if !args.checkpoints.is_empty() {
        comparison = comparison.with_checkpoints(&args.checkpoints)?;
    }
    let files = comparison.write(&args.out)?;
    output::line(comparison.chart().trim_end())?;
    for it in comparison.alignment() {
        let (title, similarity, p) = (it.title(), it.similarity, it.p_value);
        output::line(format!("similarity {similarity:>5.2} (p = {p:.3}, {} models)  {title}", it.n_models))?;
    }
    comparison.precision_note().map_or(Ok(()), output::line)?;
    output::written(files)
}
