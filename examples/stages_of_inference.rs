//! The main job: delete and swap every layer of a model, read it with lenses and probes, and show what each layer does.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Parser;
use stratigraph::Experiment;
use stratigraph::prelude::*;
use stratigraph::report::{LayerTable, OutDir};
use stratigraph::stages::{CorpusRecord, ModelRecord, Profile};

use common::Source;

#[derive(Parser)]
#[command(about = "Which layers of a language model do what: delete, swap and lens curves over its depth")]
struct Args {
    #[command(flatten)]
    source: Source,
    /// What to do: any of delete, swap, lens, attention, geometry, neurons
    #[arg(long, value_delimiter = ',', default_value = "delete,swap,lens,attention,geometry,neurons")]
    experiments: Vec<Experiment>,
    /// Leave so many positions of each window, from its start, out of geometry
    #[arg(long, default_value_t = 0)]
    skip_first: usize,
    /// A new or empty directory for profile.json, layers.csv, interventions.csv and figures/*.svg
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let out = args.out.as_ref().map(OutDir::create).transpose()?;
    let source = &args.source;
    ensure!(args.skip_first < source.seq_len, "--skip-first leaves no position of a window of {}", source.seq_len);
    let common::Loaded { model, windows, .. } = source.load()?;

    let started = Instant::now();
    let bar = common::bar()?;
    let study = Study::new(&model).experiments(args.experiments.iter().copied()).skip_first(args.skip_first);
    let study = study.on_progress(|progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    });
    let findings = study.run(&windows)?;
    bar.finish_and_clear();

    let profile = Profile {
        model: ModelRecord {
            name: common::name(&source.model),
            n_layers: model.n_layers(),
            d_model: model.d_model(),
            d_vocab: model.d_vocab(),
        },
        corpus: CorpusRecord {
            name: common::name(&source.text),
            n_sequences: windows.n_sequences(),
            seq_len: windows.seq_len(),
            special_tokens: false,
        },
        device: source.device.to_string(),
        versions: stratigraph::versions(),
        command: std::env::args().collect(),
        seed: 0,
        values: findings.values,
        matrices: findings.matrices,
        curves: findings.curves,
        stages: None,
    };
    println!("{}", LayerTable::new(&profile));
    println!("{}: {:.1?}", source.told(&windows), started.elapsed());
    for path in out.map(|out| out.write(&profile, &findings.interventions)).transpose()?.unwrap_or_default() {
        println!("wrote {}", path.display());
    }
    Ok(())
}
