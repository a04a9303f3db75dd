//! `stratigraph lens`: lenses are fitted to a model and written to files, [`LensArgs`]; studies read them, [`LensFileArgs`].

mod files;
mod fit;

use anyhow::Result;
use clap::Subcommand;

pub use files::{LensFileArgs, LensUse, asked, curves, early_guesses};
use fit::FitArgs;

/// The arguments of `lens`.
#[derive(clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:\n  \
    stratigraph lens fit --text text.txt --sequences 64 --out lens.safetensors\n  \
    stratigraph lens fit --help")]
pub struct LensArgs {
    #[command(subcommand)]
    command: LensCommand,
}

/// What can be done with lenses.
#[derive(Subcommand)]
enum LensCommand {
    /// Fit a lens to a model, for `stratigraph study --lens`
    Fit(Box<FitArgs>),
}

/// Does one of them.
pub fn run(args: &LensArgs) -> Result<()> {
    match &args.command {
        LensCommand::Fit(args) => args.devices.guard(|| fit::run(args)),
    }
}
