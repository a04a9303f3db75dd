//! What can go wrong with a profile: [`ProfileError`].

use std::path::{Path, PathBuf};

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, ProfileError>;

/// An error of `stratigraph-profile`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// A file that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    CannotRead {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    CannotWrite {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A file that is not a valid profile.
    #[error("{} is not a valid profile: {reason}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Box<ProfileError>,
    },
    /// Text that is not a profile in JSON.
    #[error("the JSON of a profile cannot be read: {}", on_a_line(&.0.to_string()))]
    Json(#[from] serde_json::Error),
    /// A profile of a newer version of Stratigraph.
    #[error(
        "the profile has format {found}, and this version of Stratigraph reads up to format {newest}; \
         update Stratigraph to read it"
    )]
    NewerFormat {
        /// The format of the profile.
        found: u64,
        /// The newest format that can be read.
        newest: u64,
    },
    /// A model with an impossible number of layers.
    #[error("the model has {n_layers} layers, more than the {most} that a profile can have")]
    TooManyLayers {
        /// The number of layers.
        n_layers: usize,
        /// The most there can be.
        most: usize,
    },
    /// A curve with more or fewer values than its axis has points.
    #[error("the curve {name:?} has {found} values, and its axis ({axis}) has {expected}")]
    CurveLength {
        /// The curve.
        name: String,
        /// How many values it has.
        found: usize,
        /// What its axis runs over.
        axis: String,
        /// How many points the axis has.
        expected: usize,
    },
    /// A curve or matrix whose axis belongs to a model of another depth.
    #[error("an axis of {name:?} is for a model of {found} layers, and the model has {n_layers}")]
    AxisDepth {
        /// The curve or matrix.
        name: String,
        /// The number of layers of its axis.
        found: usize,
        /// The number of layers of the model.
        n_layers: usize,
    },
    /// A matrix of another shape than its axes.
    #[error("the matrix {name:?} is not of the shape of its axes, {rows} rows and {columns} columns")]
    MatrixShape {
        /// The matrix.
        name: String,
        /// How many rows it should have.
        rows: usize,
        /// How many columns it should have.
        columns: usize,
    },
    /// A part of a prompt's reading that is not of the prompt or of the model.
    #[error("{what} does not fit a model of {n_layers} layers and a prompt of {n_tokens} tokens")]
    PromptShape {
        /// The part.
        what: String,
        /// The layers of the model.
        n_layers: usize,
        /// The tokens of the prompt.
        n_tokens: usize,
    },
    /// More or fewer documents than windows.
    #[error("the corpus record has {n_sequences} windows and the documents of {found}")]
    OtherDocuments {
        /// How many windows have a document.
        found: usize,
        /// How many windows there are.
        n_sequences: usize,
    },
    /// Stages that do not fit the model.
    #[error("the stages of the profile are inconsistent: {0}")]
    Stages(String),
    /// A name that the profile does not have.
    #[error("the profile has no {what} {name:?}; {hint}")]
    NotFound {
        /// `curve`, `matrix` or `value`.
        what: &'static str,
        /// The name.
        name: String,
        /// Names that are close to it, in words.
        hint: String,
    },
    /// A window that the curves do not have.
    #[error("window {window} was chosen, and the profile has {n_windows} windows")]
    NoSuchWindow {
        /// The window.
        window: usize,
        /// How many there are.
        n_windows: usize,
    },
    /// A curve that the catalogue does not have.
    #[error("the catalogue has no curve {name:?}; give the curve an axis and a unit of its own")]
    NotInCatalogue {
        /// The name.
        name: String,
    },
}

impl ProfileError {
    pub(crate) fn in_file(self, path: &Path) -> Self {
        ProfileError::InFile { path: path.to_owned(), reason: Box::new(self) }
    }
}

/// The beginning of a message that may quote the file, on one line.
fn on_a_line(message: &str) -> String {
    const MOST: usize = 600;
    message.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
