//! Several studies on one page over relative depth, with the stages of each model side by side.
//!
//! `cargo run --release --example compare -- A/profile.json B/profile.json --out DIR`

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use stratigraph::report::Comparison;

#[derive(Parser)]
#[command(about = "Compare what studies of several models found, over relative depth")]
struct Args {
    /// Files that studies left: profile.json
    #[arg(required = true)]
    profiles: Vec<PathBuf>,
    /// A directory for compare.html, where there is none yet
    #[arg(long)]
    out: PathBuf,
}

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let comparison = Comparison::read(&args.profiles)?;
    println!("{}", comparison.chart().trim_end());
    println!("wrote {}", comparison.write(&args.out)?.display());
    Ok(())
}
