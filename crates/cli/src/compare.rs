//! `stratigraph compare`: profiles of several models on one page over relative depth.

use std::path::PathBuf;

use anyhow::Result;
use stratigraph_report::Comparison;

use crate::output;

/// The arguments of `compare`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph compare small/profile.json large/profile.json --out comparison\n  \
    stratigraph compare */profile.json --out comparison")]
pub struct CompareArgs {
    /// Files that studies wrote: profile.json
    #[arg(required = true, value_name = "PROFILE")]
    profiles: Vec<PathBuf>,
    /// A directory for compare.html, which must not have one yet
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: PathBuf,
}

/// Writes and prints the comparison.
pub fn run(args: &CompareArgs) -> Result<()> {
    let comparison = Comparison::read(&args.profiles)?;
    let page = comparison.write(&args.out)?;
    output::line(comparison.chart().trim_end())?;
    output::written([page])
}
