//! Fitted lenses from files: [`GivenLenses`] for a prompt, [`LensFileArgs`] for a study.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use stratigraph_core::ResidualModel;
use stratigraph_models::{Checkpoint, Tokenizer};
use stratigraph_probes::lens::{AffineConfig, FittedLens, Lens, LensKind, LensRecord, LogitLens, fit_affine};
use stratigraph_study::Measurement;
use stratigraph_study::job::hash_tokens;
use stratigraph_study::measurements::{EarlyGuesses, LensCurves};
use stratigraph_surgery::Budget;

use crate::corpus::TextArgs;
use crate::experiments::Experiment;
use crate::load;

/// Windows that an affine lens is fitted on.
const FIT_SEQUENCES: usize = 64;

/// Which fitted lenses.
#[derive(clap::Args)]
#[command(next_help_heading = "Measurements")]
pub struct GivenLenses {
    /// Also read by a fitted lens: a file of `stratigraph lens fit`, a tuned-lens directory, a Jacobian lens (.pt)
    ///
    /// It may be given more than once, with lenses of different kinds.
    #[arg(long = "lens", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Accept lenses that were fitted to another model of the same shape
    #[arg(long, requires = "files", hide_short_help = true)]
    lens_of_other_model: bool,
}

/// Which fitted lenses in a study.
#[derive(clap::Args)]
#[command(next_help_heading = "Measurements")]
pub struct LensFileArgs {
    #[command(flatten)]
    given: GivenLenses,
    /// A text to fit the lens of the experiment affine_lens on, if --lens gives none
    #[arg(long, value_name = "FILE")]
    lens_text: Option<PathBuf>,
}

/// What lenses are for.
pub struct LensUse<'a> {
    pub checkpoint: &'a Checkpoint,
    pub tokenizer: &'a Tokenizer,
    pub model: &'a dyn ResidualModel,
    /// Says how windows are cut from a text.
    pub text: &'a TextArgs,
    /// Of the windows that are drawn at random.
    pub seed: u64,
    /// What a fit may take.
    pub budget: Budget,
}

impl GivenLenses {
    /// The lenses of the files.
    ///
    /// # Errors
    /// When a file is no lens of the model, or there are two of one kind.
    pub fn open(&self, checkpoint: &Checkpoint, model: &dyn ResidualModel) -> Result<Vec<FittedLens>> {
        let mut lenses = Vec::new();
        for file in &self.files {
            let lens = self.open_file(file, checkpoint, model)?;
            if lenses.iter().any(|other: &FittedLens| other.kind() == lens.kind()) {
                bail!("{} is another {} lens; give one of each kind", file.display(), lens.kind());
            }
            lenses.push(lens);
        }
        Ok(lenses)
    }

    fn open_file(&self, file: &Path, checkpoint: &Checkpoint, model: &dyn ResidualModel) -> Result<FittedLens> {
        match self.lens_of_other_model {
            true => Ok(FittedLens::open(file, &model.shape(), &model.device())?),
            false => open(file, checkpoint, model, ", or give --lens-of-other-model"),
        }
    }
}

/// The lens of a file. One that was fitted to another model is refused, with what else to do in the error.
pub fn open(file: &Path, checkpoint: &Checkpoint, model: &dyn ResidualModel, or: &str) -> Result<FittedLens> {
    let lens = FittedLens::open(file, &model.shape(), &model.device())?;
    if let Some(sha256) = &lens.record().model_sha256 {
        let found = checkpoint.sha256()?;
        ensure!(
            *sha256 == found,
            "{} was fitted to the model with the SHA-256 {sha256}, and this one has {found}: fit a lens to this model{or}",
            file.display()
        );
    }
    Ok(lens)
}

impl LensFileArgs {
    /// The lenses of files.
    pub fn given(&self) -> &GivenLenses {
        &self.given
    }

    /// Refuses options that are wrong for every model.
    ///
    /// # Errors
    /// When there is a text to fit on and no lens to fit, or no file of a lens that was asked for and cannot be fitted.
    pub fn check_use(&self, asked: &[LensKind]) -> Result<()> {
        ensure!(
            self.lens_text.is_none() || asked.contains(&LensKind::Affine),
            "--lens-text is for the experiment affine_lens: add it to --experiments"
        );
        // What lenses files hold is known when they are opened.
        if self.given.files.is_empty() { self.check_given(asked, &[]) } else { Ok(()) }
    }

    /// Refuses a lens that was asked for, is not given and cannot be fitted.
    fn check_given(&self, asked: &[LensKind], given: &[FittedLens]) -> Result<()> {
        let is_missing =
            |kind: &LensKind| given.iter().all(|lens| lens.kind() != *kind) && self.text_for(*kind).is_none();
        asked.iter().copied().find(is_missing).map_or(Ok(()), |kind| Err(missing(kind)))
    }

    /// The lenses that were given, and those of the kinds that were asked for.
    ///
    /// # Errors
    /// When a file is no lens of the model, there are two of one kind, or one that was asked for is missing.
    pub fn lenses(&self, asked: &[LensKind], of: &LensUse) -> Result<Vec<Arc<dyn Lens>>> {
        self.check_use(asked)?;
        let mut lenses = self.given.open(of.checkpoint, of.model)?;
        self.check_given(asked, &lenses)?; // before one of them is fitted, which takes long
        for &kind in asked {
            if !lenses.iter().any(|lens| lens.kind() == kind) {
                lenses.push(self.fit(kind, of)?);
            }
        }
        Ok(lenses.into_iter().map(|lens| Arc::new(lens) as Arc<dyn Lens>).collect())
    }

    /// The text on which a lens of a kind is fitted where there is no file.
    fn text_for(&self, kind: LensKind) -> Option<&Path> {
        self.lens_text.as_deref().filter(|_| kind == LensKind::Affine)
    }

    /// Fits an affine lens to `--lens-text`; other kinds have to be in a file.
    fn fit(&self, kind: LensKind, of: &LensUse) -> Result<FittedLens> {
        let Some(text) = self.text_for(kind) else { return Err(missing(kind)) };
        let windows = of.text.cut_other(FIT_SEQUENCES, &of.text.other_corpus(text)?, of.tokenizer, of.seed)?;
        let config = AffineConfig::default().with_bytes(of.budget.bytes / 2);
        let lens = fit_affine(of.model, &windows, &config, |_| {});
        let lens = lens.with_context(|| format!("cannot fit a lens on {}", text.display()))?;
        let record = LensRecord::clone(lens.record()).with_corpus(load::name(text), hash_tokens(&windows));
        Ok(lens.with_record(record))
    }
}

/// An error about a lens that is neither in a file nor fitted.
fn missing(kind: LensKind) -> anyhow::Error {
    let name = kind.lens_name();
    match kind {
        LensKind::Affine => anyhow!(
            "{name} needs a lens: give --lens FILE (of `stratigraph lens fit`), or --lens-text TEXT to fit one on another text"
        ),
        _ => anyhow!("{name} needs a lens: give --lens FILE; `stratigraph lens fit --kind {kind}` makes one"),
    }
}

/// The kinds of lenses among experiments.
pub fn asked(experiments: &[Experiment]) -> Vec<LensKind> {
    experiments.iter().filter_map(|it| if let Experiment::Lens(kind) = it { Some(*kind) } else { None }).collect()
}

/// The curves of lenses.
pub fn curves(lenses: &[Arc<dyn Lens>]) -> impl Iterator<Item = Box<dyn Measurement>> {
    lenses.iter().map(|lens| Box::new(LensCurves::shared(lens.clone())) as Box<dyn Measurement>)
}

/// The guesses of the logit lens and of others.
pub fn early_guesses(lenses: &[Arc<dyn Lens>]) -> EarlyGuesses {
    lenses.iter().cloned().fold(EarlyGuesses::new(LogitLens), EarlyGuesses::with_lens)
}
