//! What can go wrong between a path and a model: [`ModelError`].

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use stratigraph_core::{CoreError, Precision, shown};
use stratigraph_corpus::CorpusError;

/// Characters that are shown of a reason, which may be a library's message about a file.
const REASON: usize = 600;

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, ModelError>;

/// An error of `stratigraph-models`; each one names the file, key or tensor that is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A link to a file that is not there.
    #[error(
        "{} is a link to {}, which is not there: the file was removed, or not copied along; download the model again, or \
         copy it with the files that its links lead to (cp -L)", path.display(), target.display()
    )]
    DanglingLink {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A model that is neither a path nor available from the hub.
    #[error("there is no file or directory `{}`, and the hub does not have it: {reason}", shown(model).within(REASON))]
    NoSuchModel {
        /// The model as it was given.
        model: String,
        /// Why the hub or its cache does not have it.
        reason: stratigraph_hub::HubError,
    },
    /// A path that holds no model.
    #[error("{} is not a model: {reason}", path.display())]
    NotAModel {
        /// The path as it was given.
        path: PathBuf,
        /// What was looked for.
        reason: String,
    },
    /// A file that violates its format: empty, cut short, or with a wrong header.
    #[error("{} is damaged or not what it seems: {}", path.display(), shown(reason).within(REASON))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An architecture this crate does not know.
    #[error("unknown model architecture `{}`; known: {}", shown(architecture), known.join(", "))]
    UnknownArchitecture {
        /// The `model_type` or `general.architecture` of the checkpoint.
        architecture: String,
        /// The architectures that can be loaded.
        known: Vec<String>,
    },
    /// A configuration key that must be there.
    #[error("the model's configuration lacks `{}`", shown(key))]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A configuration value that is not supported.
    #[error("the model's configuration says `{}` = {}, which is not supported: {reason}", shown(key), shown(value))]
    UnsupportedValue {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What is supported.
        reason: String,
    },
    /// A tensor that the configuration asks for and the checkpoint lacks.
    #[error("the checkpoint lacks the tensor `{}`", shown(name))]
    MissingTensor {
        /// Its name in the checkpoint.
        name: String,
    },
    /// Tensors of the checkpoint that the model has no place for.
    #[error("the model has no place for {} tensor(s) of the checkpoint: {}", names.len(), abbreviate(names))]
    LeftoverTensors {
        /// Their names in the checkpoint.
        names: Vec<String>,
    },
    /// A tensor of another shape than the configuration asks for.
    #[error("tensor `{}` has the shape {found:?}, where the configuration asks for {expected:?}", shown(name))]
    WrongShape {
        /// Its name in the checkpoint.
        name: String,
        /// What the configuration asks for.
        expected: Vec<usize>,
        /// What the checkpoint holds.
        found: Vec<usize>,
    },
    /// A storage type that cannot be converted to f32.
    #[error("tensor `{}` is stored as {dtype}, which cannot be read: {reason}", shown(name))]
    UnsupportedDtype {
        /// Its name in the checkpoint.
        name: String,
        /// The storage type.
        dtype: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A weight that is not a finite number.
    #[error("tensor `{}` holds a value that is not finite ({value}, at element {index})", shown(name))]
    NotFinite {
        /// Its name in the checkpoint.
        name: String,
        /// NaN or an infinity.
        value: f32,
        /// Where it was found first, in storage order.
        index: usize,
    },
    /// A precision that a device cannot hold weights in.
    #[error("weights cannot be held in {precision} here: {reason}")]
    CannotHold {
        /// The precision that was asked for.
        precision: Precision,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// A weight that is too large for the precision it is to be held in.
    #[error("a weight of {matrix} is {value}, too large for {precision}; load the model in f32 or bf16")]
    TooLarge {
        /// What it is a weight of.
        matrix: String,
        /// The weight.
        value: f32,
        /// The precision that was asked for.
        precision: Precision,
    },
    /// A file that cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A decoder whose shape is not that of a family that can be written.
    #[error("the decoder cannot be saved: its shape is of none of the families that can be written without a checkpoint: {}; use Checkpoint::save_weights", known.join(", "))]
    NoFamilyToSave {
        /// The families that can.
        known: Vec<&'static str>,
    },
    /// A checkpoint that cannot be written with the layers that are wanted.
    #[error("cannot export {}: {reason}", path.display())]
    CannotExport {
        /// The checkpoint.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// Windows that a text does not fill.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A text that cannot be read or encoded.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// A prompt of fewer than two tokens, in which no token predicts another.
    #[error("the prompt {text:?} has {n_tokens} tokens; it takes at least 2")]
    PromptTooShort {
        /// The prompt.
        text: String,
        /// How many tokens it has.
        n_tokens: usize,
    },
    /// A text that is not exactly one token.
    #[error("{text:?} is {} tokens, not one: {tokens:?}", tokens.len())]
    NotOneToken {
        /// The text.
        text: String,
        /// The text of each of its tokens.
        tokens: Vec<String>,
    },
    /// A tokenizer that is absent or not understood.
    #[error("the tokenizer of {} cannot be used: {}", path.display(), shown(reason).within(REASON))]
    Tokenizer {
        /// The file it was to come from.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl ModelError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |reason| match std::fs::read_link(path).ok().filter(|_| reason.kind() == ErrorKind::NotFound) {
            Some(target) => ModelError::DanglingLink { path: path.to_owned(), target },
            None => ModelError::Io { path: path.to_owned(), reason },
        }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |reason| ModelError::Write { path: path.to_owned(), reason }
    }

    pub(crate) fn not_a_model(path: &Path, reason: impl ToString) -> Self {
        ModelError::NotAModel { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn malformed(path: &Path, reason: impl ToString) -> Self {
        ModelError::Malformed { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(crate) fn tokenizer(path: &Path, reason: impl ToString) -> Self {
        ModelError::Tokenizer { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// The first few names of a list that may be long.
fn abbreviate(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let first = names.iter().take(SHOWN).map(|name| shown(name).to_string()).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{first}, ...") } else { first }
}
