//! What the examples share: which model, text and device, and how errors are told.
#![allow(dead_code)] // every example uses a part of this file

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use stratigraph::prelude::*;
use stratigraph::probes::{Observer, observe};

/// A small trained model and a text, which come with the repository.
pub const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/tiny");
const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/sample.txt");

/// `.cargo/config.toml` makes it keep what is freed, in huge pages.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The arguments of every example that runs a model over a text.
#[derive(clap::Args)]
pub struct Source {
    /// A GGUF file, a Hugging Face directory, or a model of the hub: ORGANISATION/NAME[@REVISION]
    #[arg(long, default_value = MODEL)]
    pub model: String,
    /// A text file
    #[arg(long, default_value = TEXT)]
    pub text: PathBuf,
    /// How many windows of the text to use
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub sequences: u32,
    /// Tokens in a window
    #[arg(long, default_value_t = 128)]
    pub seq_len: usize,
    /// flex or ndarray on a CPU, wgpu on a GPU
    #[arg(long, default_value = "flex")]
    pub device: Backend,
}

/// A model with what it is to read.
pub struct Loaded {
    pub model: Decoder,
    pub tokenizer: Tokenizer,
    pub windows: TokenWindows,
}

impl Loaded {
    /// Runs the model over the windows once for all observers, with a bar.
    pub fn observe(&self, observers: &mut [&mut dyn Observer]) -> Result<()> {
        let bar = bar()?;
        bar.set_length(self.windows.n_sequences() as u64);
        observe(&self.model, &self.windows, 8, observers, |done| bar.set_position(done as u64))?;
        bar.finish_and_clear();
        Ok(())
    }
}

impl Source {
    /// Opens and loads everything, after it has been understood.
    pub fn load(&self) -> Result<Loaded> {
        let device = self.device.device()?;
        let checkpoint = open(&self.model)?;
        let text = std::fs::read_to_string(&self.text);
        let text = text.with_context(|| format!("cannot read {}", self.text.display()))?;
        let tokenizer = checkpoint.tokenizer()?;
        let windows = TokenWindows::new(&tokenizer.encode(&text)?, self.seq_len)?.take(self.sequences as usize);
        Ok(Loaded { model: checkpoint.load(&device)?, tokenizer, windows })
    }

    /// What was run on what, in a line.
    pub fn told(&self, windows: &TokenWindows) -> impl Display {
        let (n, seq_len) = (windows.n_sequences(), windows.seq_len());
        format!("{n} windows of {seq_len} tokens, {} on {}", name(&self.model), self.device)
    }
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

/// One line for what went wrong.
pub fn exit(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
