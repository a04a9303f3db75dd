//! `stratigraph lens fit`: an affine, tuned or Jacobian lens is fitted to a text, and written to a file.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use indicatif::ProgressBar;
use stratigraph_core::{Precision, ResidualModel, TokenWindows};
use stratigraph_corpus::Corpus;
use stratigraph_models::{Checkpoint, Tokenizer};
use stratigraph_probes::lens::{AffineConfig, FittedLens, LensKind, LensRecord, fit_affine};
use stratigraph_study::job::hash_tokens;

#[cfg(feature = "fit")]
use super::files;
use crate::args::{MemoryArgs, ModelArgs, OneDeviceArgs, at_least};
use crate::corpus::TextArgs;
use crate::{load, output};

/// The arguments of `lens fit`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph lens fit --text text.txt --sequences 64 --out lens.safetensors\n  \
    stratigraph lens fit --kind jacobian --model openai-community/gpt2 --text text.txt --probes 64 --out lens.safetensors")]
pub struct FitArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    text: TextArgs,
    #[command(flatten)]
    fit: KindArgs,
    #[command(flatten)]
    pub device: OneDeviceArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    file: OutArgs,
}

/// Which lens, and how it is fitted.
#[derive(clap::Args)]
#[command(next_help_heading = "Lens")]
struct KindArgs {
    /// How the lens is fitted; tuned and jacobian need a build with the feature `fit`
    #[arg(long, value_enum, default_value_t = Kind::Affine)]
    kind: Kind,
    /// Take the windows after the first N of the text, on which a study with --windows first measures
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip_sequences: usize,
    /// jacobian: differentiate this many units of each window, drawn at random [default: all]
    #[arg(long, value_name = "N")]
    probes: Option<usize>,
    /// tuned: take this many steps [default: 64]
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    steps: Option<usize>,
    /// tuned: begin with the lens of this file [default: an affine lens that is fitted first]
    #[arg(long, value_name = "FILE")]
    start: Option<PathBuf>,
    /// The seed of windows and of everything else that is drawn at random
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Where the lens goes.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
struct OutArgs {
    /// A new file, or a directory for the form tuned-lens
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// safetensors, or a checkpoint of the tuned-lens library
    #[arg(long, value_enum, default_value_t = Form::Safetensors)]
    form: Form,
}

/// How a lens is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// By least squares on the last residual stream
    Affine,
    /// By minimising the KL divergence from the model's predictions
    Tuned,
    /// As the mean Jacobian of the last residual stream
    Jacobian,
}

impl From<Kind> for LensKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Affine => LensKind::Affine,
            Kind::Tuned => LensKind::Tuned,
            Kind::Jacobian => LensKind::Jacobian,
        }
    }
}

/// The form of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One file with a record of model and corpus
    Safetensors,
    /// A directory with config.json and params.pt
    TunedLens,
}

impl KindArgs {
    /// Refuses options of another kind.
    fn check(&self) -> Result<()> {
        let of = |kind: Kind, is_given: bool, option: &str| {
            ensure!(self.kind == kind || !is_given, "{option} is for --kind {}", LensKind::from(kind));
            Ok(())
        };
        of(Kind::Jacobian, self.probes.is_some(), "--probes")?;
        of(Kind::Tuned, self.steps.is_some(), "--steps")?;
        of(Kind::Tuned, self.start.is_some(), "--start")?;
        let is_built = cfg!(feature = "fit") || self.kind == Kind::Affine;
        ensure!(is_built, "lenses of this kind are not part of this build; build with `--features fit`");
        Ok(())
    }
}

/// How a lens is fitted.
struct Fit<'a> {
    #[cfg_attr(not(feature = "fit"), expect(dead_code))]
    checkpoint: &'a Checkpoint,
    model: &'a dyn ResidualModel,
    /// Bytes that a fit may take beside the weights.
    bytes: usize,
    bar: &'a ProgressBar,
}

impl Fit<'_> {
    fn affine(&self, windows: &TokenWindows) -> Result<FittedLens> {
        let config = AffineConfig::default().with_bytes(self.bytes / 2);
        Ok(fit_affine(self.model, windows, &config, |done| self.show(done))?)
    }

    #[cfg(feature = "fit")]
    fn by_gradients(&self, windows: &TokenWindows, args: &KindArgs) -> Result<FittedLens> {
        use stratigraph_train::lens::{JacobianConfig, TunedConfig, fit_jacobian, fit_tuned};
        let model = self.model;
        if args.kind == Kind::Jacobian {
            let config = JacobianConfig::default().with_seed(args.seed);
            let config = args.probes.map_or(config.clone(), |n| config.with_probes(n));
            let config = match windows.skip_first() {
                0 => config,
                n => config.with_skip_first(n),
            };
            return Ok(fit_jacobian(model, windows, &config, |done| self.show(done))?);
        }
        let config = TunedConfig::default().with_seed(args.seed);
        let config = args.steps.map_or(config.clone(), |n| config.with_steps(n));
        let start = match &args.start {
            Some(file) => files::open(file, self.checkpoint, model, "")?,
            None => {
                let (n, least) = (windows.n_sequences(), 1 + AffineConfig::default().held_out);
                ensure!(
                    n >= least,
                    "there are {n} windows: a tuned lens holds one out, and an affine lens is fitted to the others first; give \
                     at least {least} windows, or a lens with --start"
                );
                self.affine(&config.trained(windows)?)?
            }
        };
        Ok(fit_tuned(model, windows, &start, &config, |done| self.show(done))?)
    }

    #[cfg(not(feature = "fit"))]
    fn by_gradients(&self, _: &TokenWindows, _: &KindArgs) -> Result<FittedLens> {
        unreachable!("the arguments were checked")
    }

    fn show(&self, done: f64) {
        const STEPS: f64 = 1000.0;
        self.bar.set_length(STEPS as u64);
        self.bar.set_position((STEPS * done) as u64);
    }
}

/// Fits a lens and writes it.
pub fn run(args: &FitArgs) -> Result<()> {
    args.fit.check()?;
    let OutArgs { out, form } = &args.file;
    ensure!(!out.exists(), "{} exists already; choose another file for --out", out.display());
    ensure!(
        args.fit.kind == Kind::Affine || args.memory.memory.is_none(),
        "--memory is for --kind affine: the other fits have no budget; leave it out"
    );
    if *form == Form::Safetensors && out.extension().is_none_or(|extension| extension != "safetensors") {
        bail!("{} does not end with .safetensors", out.display());
    }
    output::check_new(out)?;
    let (model_path, corpus) = (args.model.path()?, args.text.corpus()?);
    let device = args.device.open()?;
    let checkpoint = load::open(&model_path)?;
    let windows = windows(args, &checkpoint.tokenizer()?, &corpus)?;
    let sha256 = checkpoint.sha256()?;
    let loaded = load::model(&checkpoint, args.memory.stream, Precision::F32, &device)?;
    let bytes = load::budget(&args.memory, std::slice::from_ref(&loaded), None)?.bytes;
    let (bar, started) = (output::bar()?, Instant::now());
    let fit = Fit { checkpoint: &checkpoint, model: &*loaded.model, bytes, bar: &bar };
    let lens = if args.fit.kind == Kind::Affine { fit.affine(&windows) } else { fit.by_gradients(&windows, &args.fit) };
    bar.finish_and_clear();
    let (lens, seconds) = (lens?, started.elapsed());
    let record = lens.record().clone().with_model(load::name(&model_path), sha256);
    let lens = lens.with_record(record.with_corpus(args.text.name()?, hash_tokens(&windows)));
    match form {
        Form::Safetensors => lens.save(out)?,
        Form::TunedLens => lens.save_tuned_lens(out)?,
    }
    let (kind, n, seq_len) = (lens.kind(), windows.n_sequences(), windows.seq_len());
    let name = load::name(&model_path);
    output::line(table(lens.record(), lens.n_layers()))?;
    output::line(format_args!("{kind} lens of {name}, fitted on {n} windows of {seq_len} tokens: {seconds:.1?}"))?;
    output::written([out])
}

/// The windows to fit on.
fn windows(args: &FitArgs, tokenizer: &Tokenizer, corpus: &Corpus) -> Result<TokenWindows> {
    match args.fit.skip_sequences {
        0 => args.text.cut(corpus, tokenizer, args.fit.seed),
        skipped => args.text.cut_after(skipped, corpus, tokenizer),
    }
}

/// The numbers of a fit with one for each residual position.
fn table(record: &LensRecord, n_layers: usize) -> String {
    let columns: Vec<_> = record.fit.iter().filter(|(_, numbers)| numbers.len() == n_layers).collect();
    let mut text = format!("{:>8}", "before");
    columns.iter().for_each(|(name, _)| write!(text, "  {name:>14}").expect("text can be added to text"));
    for layer in 0..n_layers {
        write!(text, "\n{layer:>8}").expect("text can be added to text");
        columns.iter().for_each(|(_, numbers)| write!(text, "  {:>14.6}", numbers[layer]).expect("as above"));
    }
    if columns.is_empty() { String::new() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_fit_are_rows_by_layer() {
        let record = LensRecord::of_windows(2, 4).with_fit("ridge", [0.1, 1.0]).with_fit("skip_first", [16.0]);
        assert_eq!(table(&record, 2), "  before           ridge\n       0        0.100000\n       1        1.000000");
        assert_eq!(table(&record, 3), "");
    }
}
