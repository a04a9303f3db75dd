//! What can go wrong in writing a report: [`ReportError`].

use std::path::{Path, PathBuf};

use stratigraph_profile::ProfileError;

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, ReportError>;

/// An error of `stratigraph-report`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A directory that already holds something; nothing is ever overwritten.
    #[error("{} is not empty; choose another directory for the output, or empty it", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A file or directory that cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A profile that cannot be read, or whose parts do not fit each other.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A figure whose name cannot be the name of a file, or is taken.
    #[error(
        "a figure cannot be called {name:?}; choose a name of letters, digits, '-' and '_' that no other figure or section \
         of the page has"
    )]
    FigureName {
        /// The name.
        name: String,
    },
    /// A family that no model belongs to.
    #[error("no model's name contains {family:?}; the models are {known}")]
    NoSuchFamily {
        /// The family.
        family: String,
        /// The names of the models.
        known: String,
    },
    /// Labels of checkpoints that do not fit the profiles.
    #[error("{labels} {} for {profiles} profiles; give one for each, in their order", if *labels == 1 { "label" } else { "labels" })]
    CheckpointLabels {
        /// How many labels.
        labels: usize,
        /// How many profiles.
        profiles: usize,
    },
    /// Checkpoints of different models.
    #[error(
        "checkpoints of one training run have the same number of layers, and these have {}",
        depths.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
    )]
    CheckpointDepths {
        /// The numbers of layers.
        depths: Vec<usize>,
    },
    /// Nothing to compare.
    #[error("a comparison needs at least one profile")]
    NothingToCompare,
}

impl ReportError {
    pub(crate) fn io(path: &Path, reason: std::io::Error) -> Self {
        ReportError::Io { path: path.to_owned(), reason }
    }
}
