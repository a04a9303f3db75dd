//! What can go wrong in writing a report: [`ReportError`].

use std::path::{Path, PathBuf};

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, ReportError>;

/// An error of `stratigraph-report`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A place that already holds something; nothing is ever overwritten.
    #[error("{} is not empty; choose another place for the output, or clear it", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    CannotRead {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A place that cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A file that is no profile.
    #[error("{} is not a profile: {reason}", path.display())]
    NotAProfile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing to compare.
    #[error("a comparison needs a profile")]
    NothingToCompare,
}

impl ReportError {
    pub(crate) fn io(path: &Path, reason: std::io::Error) -> Self {
        ReportError::Io { path: path.to_owned(), reason }
    }
}
