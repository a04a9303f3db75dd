//! What can go wrong between texts and a trained model: [`TrainError`].

use std::path::{Path, PathBuf};

use stratigraph_core::CoreError;
use stratigraph_models::ModelError;
use stratigraph_probes::ProbeError;
use stratigraph_study::StudyError;

/// The result of an operation of this crate.
pub type Result<T, E = TrainError> = std::result::Result<T, E>;

/// An error of `stratigraph-train`; each one names the setting or file that is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Windows that the texts or the model do not allow.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A model that cannot be made, or not be written.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A lens that cannot be fitted.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A held-out loss that cannot be measured.
    #[error(transparent)]
    Study(#[from] StudyError),

    /// A setting that no run can have.
    #[error("the setting {name} = {value} is not valid: {reason}")]
    InvalidSetting {
        /// The field of [`TrainingConfig`](crate::TrainingConfig).
        name: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        reason: String,
    },

    /// A file or directory that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    CannotRead {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A file or directory that cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    CannotWrite {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Paths without a text file.
    #[error("there is no text in {paths}; give text files, or directories with .txt files")]
    NoTexts {
        /// The paths as they were given, with commas between.
        paths: String,
    },
    /// Texts that are too short to hold a part of them out.
    #[error(
        "{n_bytes} bytes of text are too few: none of them can be held out; at least one text must have about \
         {needed} bytes"
    )]
    TooLittleText {
        /// Bytes in all texts.
        n_bytes: usize,
        /// About how many bytes one text must have.
        needed: usize,
    },
    /// A tokenizer that cannot be made from the texts.
    #[error("cannot learn a tokenizer from the texts: {reason}")]
    Tokenizer {
        /// What the tokenizers library says.
        reason: String,
    },
    /// Texts with fewer different pairs of tokens than the vocabulary needs.
    #[error("the texts give a vocabulary of {found} tokens, not {expected}; set d_vocab to {found}, or give more text")]
    SmallVocabulary {
        /// How many tokens the texts give.
        found: usize,
        /// `d_vocab` of the settings.
        expected: usize,
    },
    /// Fewer tokens to train on than two windows have.
    #[error(
        "{n_tokens} tokens are too few to train on windows of {n_ctx}; give more text, or set n_ctx to less than half \
         of it"
    )]
    TooFewTokens {
        /// Tokens to train on.
        n_tokens: usize,
        /// `n_ctx` of the settings.
        n_ctx: usize,
    },

    /// A checkpoint of a run with other settings or texts.
    #[error(
        "cannot continue from {}: it is of a run with other settings ({differences}); use the settings and texts of that \
         run, or another directory", path.display()
    )]
    OtherSettings {
        /// The checkpoint.
        path: PathBuf,
        /// Each setting that differs, with both values.
        differences: String,
    },
    /// A checkpoint that cannot be read.
    #[error("cannot continue from {}: {reason}; remove it to start again", path.display())]
    DamagedCheckpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A loss that is NaN or infinite.
    #[error("the loss is {loss} after {step} steps; a lower learning_rate may help")]
    Diverged {
        /// The loss of the batch.
        loss: f64,
        /// Steps done.
        step: usize,
    },
}

impl TrainError {
    /// Makes an error of an I/O error at `path`.
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |reason| TrainError::CannotRead { path: path.to_owned(), reason }
    }

    /// Makes an error of something that kept `path` from being written.
    pub(crate) fn write<E: ToString>(path: &Path) -> impl FnOnce(E) -> Self {
        move |reason| TrainError::CannotWrite { path: path.to_owned(), reason: reason.to_string() }
    }

    /// Makes an error of what the tokenizers library says.
    pub(crate) fn tokenizer(reason: impl ToString) -> Self {
        TrainError::Tokenizer { reason: reason.to_string() }
    }
}
