//! The program `stratigraph`: [`Command`] is what it can do, one module for each subcommand.

mod args;
mod compare;
mod corpus;
mod defaults;
mod devices;
#[cfg(test)]
mod docs;
mod experiments;
mod export;
mod generate;
mod group_table;
mod groups;
mod lens;
mod load;
mod output;
mod pairs;
mod prompt_pages;
mod remote;
mod result_files;
mod results;
mod search;
#[cfg(feature = "remote")]
mod serve;
mod steering;
mod study;
mod sweep;
mod table;
mod task_items;
mod tasks;
mod width;
mod words;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// `.cargo/config.toml` makes it keep freed memory, in huge pages.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures what each layer of a language model does: layers are ablated, swapped and repeated, and the damage is measured.
#[derive(Parser)]
#[command(name = "stratigraph", version, arg_required_else_help = true)]
#[command(after_help = "Examples:\n  \
    stratigraph study --out results\n  \
    stratigraph study --model EleutherAI/pythia-70m --text text.txt --experiments delete,swap,lens")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What the program can do.
#[derive(Subcommand)]
enum Command {
    /// Measure what each layer of a model does, and find its stages of inference
    Study(Box<study::StudyArgs>),
    /// Show what the residual stream predicts at each layer of a prompt, and fit lenses
    Lens(Box<lens::LensArgs>),
    /// Run a large study in shards, on one machine or many, that continues after it is killed
    Sweep(sweep::SweepArgs),
    /// Find the layers that a model can do without, or a change that helps, and validate it
    Search(Box<search::SearchArgs>),
    /// Write a checkpoint with other layers: left out, repeated or in another order
    Export(export::ExportArgs),
    /// Put the profiles of several models on one page
    Compare(compare::CompareArgs),
    /// Continue prompts, clean or under an intervention, and compare the texts
    Generate(Box<generate::GenerateArgs>),
    /// Score LAMBADA, HellaSwag, ARC, PIQA, WinoGrande, MMLU or GSM8K under interventions
    Tasks(tasks::TaskArgs),
    /// List the devices of this machine, their memory and speed, and whether they agree with flex
    Devices(devices::DevicesArgs),
    /// Serve the devices of this machine to other machines
    #[cfg(feature = "remote")]
    Serve(serve::ServeArgs),
}

impl Command {
    fn run(&self) -> Result<()> {
        match self {
            Command::Study(args) => args.devices.guard(|| study::run(args)),
            Command::Lens(args) => lens::run(args),
            Command::Sweep(args) => sweep::run(args),
            Command::Search(args) => args.devices.guard(|| search::run(args)),
            Command::Export(args) => export::run(args),
            Command::Compare(args) => compare::run(args),
            Command::Generate(args) => args.device.guard(|| generate::run(args)),
            Command::Tasks(args) => args.device.guard(|| tasks::run(args)),
            Command::Devices(args) => devices::run(args),
            #[cfg(feature = "remote")]
            Command::Serve(args) => serve::run(args),
        }
    }
}

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
