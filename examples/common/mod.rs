//! What the examples share: which model, text and device, and how errors are told.
#![allow(dead_code, unused_imports)] // every example uses a part of this file

mod place;

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use stratigraph::prelude::*;
use stratigraph::probes::{Observer, WicPair, WicTokens, Words, observe};
use stratigraph::stages::{CorpusRecord, Estimate, ModelRecord, Profile};
use stratigraph::surgery::Budget;
use stratigraph::{Experiment, Findings, Progress};

pub use place::{Devices, Room};

/// A small trained model, a text and Word-in-Context pairs, which come with the repository.
pub const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/tiny");
pub const WIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/wic");
pub const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/sample.txt");

/// `.cargo/config.toml` makes it keep what is freed, in huge pages.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Which model, where.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// A GGUF file, a Hugging Face directory, or a model of the hub: ORGANISATION/NAME[@REVISION]
    #[arg(long, default_value = MODEL)]
    pub model: String,
    #[command(flatten)]
    pub devices: Devices,
}

impl ModelArgs {
    pub fn load(&self) -> Result<(Decoder, Tokenizer)> {
        let device = self.devices.open_one()?;
        let checkpoint = open(&self.model)?;
        let tokenizer = checkpoint.tokenizer()?;
        Ok((checkpoint.load(&device)?, tokenizer))
    }
}

/// A model and a text.
#[derive(clap::Args)]
pub struct TextArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// A text file
    #[arg(long, default_value = TEXT)]
    pub text: PathBuf,
}

impl TextArgs {
    pub fn load(&self) -> Result<(Decoder, Tokenizer, String)> {
        let text = read_text(&self.text)?;
        let (model, tokenizer) = self.model.load()?;
        Ok((model, tokenizer, text))
    }
}

/// The arguments of every example that runs a model over the windows of a text.
#[derive(clap::Args)]
pub struct Source {
    #[command(flatten)]
    pub text: TextArgs,
    /// How many windows of the text to use
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub sequences: u32,
    /// Tokens in a window
    #[arg(long, default_value_t = 128)]
    pub seq_len: usize,
    #[command(flatten)]
    pub room: Room,
}

/// A model with what it is to read.
pub struct Loaded {
    pub model: Box<dyn ResidualModel>,
    /// The same on other devices.
    pub others: Vec<Box<dyn ResidualModel>>,
    /// For each device.
    pub budget: Budget,
    pub tokenizer: Tokenizer,
    pub text: String,
    pub windows: TokenWindows,
}

impl Loaded {
    /// A study of the model, on all devices.
    pub fn study(&self) -> Study<'_> {
        let study = Study::new(&*self.model).budget(self.budget);
        self.others.iter().fold(study, |study, model| study.also_on(&**model))
    }

    /// Runs the model over the windows once for all observers, with a bar.
    pub fn observe(&self, observers: &mut [&mut dyn Observer]) -> Result<()> {
        let bar = bar()?;
        bar.set_length(self.windows.n_sequences() as u64);
        observe(&*self.model, &self.windows, 8, observers, |done| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        Ok(())
    }
}

impl Source {
    /// Opens and loads everything, after it has been understood.
    pub fn load(&self) -> Result<Loaded> {
        let devices = self.text.model.devices.open()?;
        let (checkpoint, tokenizer, text, windows) = self.read()?;
        let (mut models, budget) = self.room.load(&checkpoint, &devices)?;
        let (model, others) = (models.remove(0), models);
        windows.check(&*model)?;
        Ok(Loaded { model, others, budget, tokenizer, text, windows })
    }

    /// As [`load`](Source::load), for what runs on one device.
    pub fn load_one(&self) -> Result<Loaded> {
        self.text.model.devices.check_one()?;
        self.load()
    }

    /// Opens the checkpoint and cuts the text.
    fn read(&self) -> Result<(Pretrained, Tokenizer, String, TokenWindows)> {
        let checkpoint = open(&self.text.model.model)?;
        let text = read_text(&self.text.text)?;
        let tokenizer = checkpoint.tokenizer()?;
        let windows = cut(&tokenizer, &text, self.seq_len, self.sequences as usize)?;
        Ok((checkpoint, tokenizer, text, windows))
    }

    /// What was run on what, in a line.
    pub fn told(&self, windows: &TokenWindows) -> impl Display {
        let (n, seq_len, ModelArgs { model, devices }) = (windows.n_sequences(), windows.seq_len(), &self.text.model);
        format!("{n} windows of {seq_len} tokens, {} on {devices}", name(model))
    }
}

/// Reads a text file.
pub fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The first windows of a text.
pub fn cut(tokenizer: &Tokenizer, text: &str, seq_len: usize, sequences: usize) -> Result<TokenWindows> {
    Ok(TokenWindows::new(&tokenizer.encode(text)?, seq_len)?.take(sequences))
}

/// The record of a study; its stages are not told yet.
pub fn profile(
    source: &Source,
    seed: u64,
    (model, windows): (&dyn ResidualModel, &TokenWindows),
    findings: Findings,
) -> Profile {
    Profile {
        model: ModelRecord {
            name: name(&source.text.model.model),
            n_layers: model.n_layers(),
            d_model: model.d_model(),
            d_vocab: model.d_vocab(),
        },
        corpus: CorpusRecord {
            name: name(&source.text.text),
            n_sequences: windows.n_sequences(),
            seq_len: windows.seq_len(),
            special_tokens: false,
        },
        device: source.text.model.devices.to_string(),
        versions: stratigraph::versions(),
        command: std::env::args().collect(),
        seed,
        values: findings.values,
        matrices: findings.matrices,
        curves: findings.curves,
        stages: None,
    }
}

/// The words of a text, as its tokens make them.
pub fn words(tokenizer: &Tokenizer, text: &str) -> Result<Words> {
    Ok(Words::new(text, tokenizer.encode_with_offsets(text)?))
}

/// The pairs of a Word-in-Context directory: those to fit probes to, and those to ask about.
pub fn wic(directory: &Path, tokenizer: &Tokenizer) -> Result<(WicTokens, WicTokens)> {
    let part = |name: &str| -> Result<WicTokens, stratigraph::Error> {
        let encode = |text: &str| Ok(tokenizer.encode_with_offsets(text)?);
        WicTokens::new(&WicPair::read(directory, name)?, encode)
    };
    Ok((part("train")?, part("dev")?))
}

/// A number of an argument that must not be smaller than `N`.
pub fn at_least<const N: usize>(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "not a whole number".to_owned())?;
    if number < N { Err(format!("it takes at least {N}")) } else { Ok(number) }
}

/// Runs plans over the windows, with a bar, and prints some of their metrics: a row a layer, a column an experiment. The
/// CSV holds all metrics.
pub fn surgery(source: &Source, experiments: &[Experiment], metrics: &[&str], csv: Option<&Path>) -> Result<()> {
    let loaded = source.load()?;
    let Loaded { model, windows, .. } = &loaded;
    let default = Metrics::default();
    let bar = bar()?;
    let study = loaded.study().experiments(experiments.iter().copied());
    let findings = study.on_progress(shown(&bar)).run(windows)?;
    bar.finish_and_clear();
    for metric in metrics {
        let unit = default.get(metric).map_or("", |metric| metric.unit());
        println!("{metric}, {unit}");
        println!(
            "layer{}",
            experiments.iter().map(|experiment| format!("{:>20}", experiment.to_string())).collect::<String>()
        );
        if let Some(clean) = findings.values.get(&format!("clean_{metric}")) {
            println!(" none{}", format!("{:20.3}", clean.mean).repeat(experiments.len()));
        }
        for layer in 0..model.n_layers() {
            let cell = |experiment: &Experiment| {
                let curve = findings.curves.get(&format!("{experiment}_{metric}"));
                match curve.and_then(|curve| curve.mean.get(layer)) {
                    Some(mean) => format!("{mean:20.3}"),
                    None => " ".repeat(20),
                }
            };
            println!("{layer:5}{}", experiments.iter().map(cell).collect::<String>());
        }
    }
    println!("{}", source.told(windows));
    let rows = findings.interventions.iter().flat_map(|intervention| {
        let layer = intervention.layer.map(|layer| layer.to_string()).unwrap_or_default();
        let row = move |(metric, estimate): (&String, &Estimate)| {
            let sem = estimate.sem.map(|sem| sem.to_string()).unwrap_or_default();
            let what = [intervention.kind.to_string(), layer.clone(), intervention.plan.clone(), metric.clone()];
            what.into_iter().chain([estimate.mean.to_string(), sem]).collect()
        };
        intervention.metrics.iter().map(row)
    });
    write_csv(csv, &["intervention", "layer", "plan", "metric", "mean", "sem"], rows)
}

/// Opens a checkpoint, with a bar while it is downloaded.
pub fn open(model: &str) -> Result<Pretrained> {
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes}")?);
    let checkpoint = stratigraph::open(model, |download| {
        bar.set_message(download.file.to_owned());
        bar.set_length(download.total);
        bar.set_position(download.received);
    })?;
    bar.finish_and_clear();
    for key in checkpoint.unread_keys() {
        eprintln!("note: the model's configuration has `{key}`, which is not known and was not read");
    }
    Ok(checkpoint)
}

/// A bar for work that takes a while.
pub fn bar() -> Result<ProgressBar> {
    Ok(ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {percent:>3}%, {eta} left")?))
}

/// Shows on a bar how far work is.
pub fn shown(bar: &ProgressBar) -> impl FnMut(Progress) {
    |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    }
}

/// The last part of a path, or a model of the hub as it was given.
pub fn name(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    if !path.exists() {
        return path.display().to_string();
    }
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Writes a CSV file, where one is asked for, and says so; an existing file is not written over.
pub fn write_csv(path: Option<&Path>, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let cannot = || format!("cannot write {}", path.display());
    let mut writer = csv::Writer::from_writer(File::create_new(path).with_context(cannot)?);
    writer.write_record(header).with_context(cannot)?;
    rows.into_iter().try_for_each(|row| writer.write_record(row)).with_context(cannot)?;
    writer.flush().with_context(cannot)?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Runs an example, with one line for what went wrong.
pub fn exit(run: impl FnOnce() -> Result<()>) -> ExitCode {
    let remote = std::env::args().any(|argument| argument.starts_with("remote:") || argument.contains("=remote:"));
    let result = if remote {
        std::panic::set_hook(Box::new(|_| {})); // the error says it
        stratigraph::guard_remote(run)
    } else {
        run()
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
