//! The main job: delete and swap every layer of a model, read it with the logit lens, and show what each layer does.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use stratigraph::Experiment;
use stratigraph::prelude::*;
use stratigraph::report::{LayerTable, OutDir};
use stratigraph::stages::{CorpusRecord, ModelRecord, Profile};

/// A small trained model and a text, which come with the repository.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/tiny");
const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/sample.txt");

/// `.cargo/config.toml` makes it keep what is freed, in huge pages.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
#[command(about = "Which layers of a language model do what: delete, swap and lens curves over its depth")]
struct Args {
    /// A GGUF file, a Hugging Face directory, or a model of the hub: ORGANISATION/NAME[@REVISION]
    #[arg(long, default_value = MODEL)]
    model: String,
    /// A text file
    #[arg(long, default_value = TEXT)]
    text: PathBuf,
    /// How many windows of the text to use
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    sequences: u32,
    /// Tokens in a window
    #[arg(long, default_value_t = 128)]
    seq_len: usize,
    /// What to do: any of delete, swap, lens
    #[arg(long, value_delimiter = ',', default_value = "delete,swap,lens")]
    experiments: Vec<Experiment>,
    /// flex or ndarray on a CPU, wgpu on a GPU
    #[arg(long, default_value = "flex")]
    device: Backend,
    /// A new or empty directory for profile.json, layers.csv, interventions.csv and figures/*.svg
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let out = args.out.as_ref().map(OutDir::create).transpose()?;
    let device = args.device.device()?;
    let checkpoint = open(&args.model)?;
    for key in checkpoint.unread_keys() {
        eprintln!("note: the model's configuration has `{key}`, which is not known and was not read");
    }
    let text = std::fs::read_to_string(&args.text).with_context(|| format!("cannot read {}", args.text.display()))?;
    let ids = checkpoint.tokenizer()?.encode(&text)?;
    let windows = TokenWindows::new(&ids, args.seq_len)?.take(args.sequences as usize);
    let model = checkpoint.load(&device)?;

    let started = Instant::now();
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {percent:>3}%, {eta} left")?);
    let study = Study::new(&model).experiments(args.experiments.iter().copied()).on_progress(|progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    });
    let findings = study.run(&windows)?;
    bar.finish_and_clear();

    let profile = Profile {
        model: ModelRecord {
            name: name(&args.model),
            n_layers: model.n_layers(),
            d_model: model.d_model(),
            d_vocab: model.d_vocab(),
        },
        corpus: CorpusRecord {
            name: name(&args.text),
            n_sequences: windows.n_sequences(),
            seq_len: windows.seq_len(),
            special_tokens: false,
        },
        device: args.device.to_string(),
        versions: stratigraph::versions(),
        curves: findings.curves,
    };
    println!("{}", LayerTable::new(&profile));
    let (sequences, seq_len) = (windows.n_sequences(), windows.seq_len());
    println!(
        "{sequences} windows of {seq_len} tokens, {} on {}: {:.1?}",
        profile.model.name,
        args.device,
        started.elapsed()
    );
    for path in out.map(|out| out.write(&profile, &findings.interventions)).transpose()?.unwrap_or_default() {
        println!("wrote {}", path.display());
    }
    Ok(())
}

fn open(model: &str) -> Result<Pretrained> {
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes}")?);
    let checkpoint = stratigraph::open(model, |download| {
        bar.set_message(download.file.to_owned());
        bar.set_length(download.total);
        bar.set_position(download.received);
    })?;
    bar.finish_and_clear();
    Ok(checkpoint)
}

/// The last part of a path, or a model of the hub as it was given.
fn name(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    if !path.exists() {
        return path.display().to_string();
    }
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
