//! `stratigraph lens`: what lenses read in a prompt, and how they are fitted, [`LensArgs`]; studies read them, [`LensFileArgs`].

mod files;
mod fit;
mod page;
mod show;

use anyhow::Result;
use clap::Subcommand;

pub use files::{GivenLenses, LensFileArgs, LensUse, asked, curves, early_guesses};
use fit::FitArgs;
use show::ShowArgs;

/// The arguments of `lens`.
#[derive(clap::Args)]
#[command(arg_required_else_help = true, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:\n  \
    stratigraph lens --prompt \"The capital of France is the city of\" --out prompt\n  \
    stratigraph lens show --prompt \"The capital of France is the city of\" --show kl\n  \
    stratigraph lens fit --text text.txt --sequences 64 --out lens.safetensors")]
pub struct LensArgs {
    #[command(subcommand)]
    command: Option<LensCommand>,
    #[command(flatten)]
    show: ShowArgs,
}

/// What can be done with lenses.
#[derive(Subcommand)]
enum LensCommand {
    /// Show what lenses read at each layer after each token of a prompt; `lens --prompt` does the same
    #[command(after_help = "Examples:\n  \
        stratigraph lens show --prompt \"The capital of France is the city of\" --lens lens.safetensors --out prompt\n  \
        stratigraph lens show --prompt \"The capital of France is the city of\" --show output_rank --csv cells.csv")]
    Show(Box<ShowArgs>),
    /// Fit a lens to a model, for `stratigraph lens --prompt --lens` and `stratigraph study --lens`
    Fit(Box<FitArgs>),
}

/// Does one of them.
pub fn run(args: &LensArgs) -> Result<()> {
    match &args.command {
        Some(LensCommand::Fit(args)) => args.device.guard(|| fit::run(args)),
        Some(LensCommand::Show(args)) => args.device.guard(|| show::run(args)),
        None => args.show.device.guard(|| show::run(&args.show)),
    }
}
