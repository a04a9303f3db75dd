//! What can go wrong with lenses: [`LensError`].

use std::path::PathBuf;

use thiserror::Error;

/// A lens that cannot be fitted, read or written.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum LensError {
    /// A lens that divides by the scale of the last residual stream, without that stream.
    #[error("a lens with one norm scale needs the unchanged model as the clean one; leave the other model out")]
    LastStreamMissing,
    /// A lens of another model.
    #[error("the {lens} is for a model of {found}, and this one has {expected}; fit a lens to this model")]
    OtherLens {
        /// The name of the lens.
        lens: String,
        /// Layers and width that it is for, in words.
        found: String,
        /// Those of the model.
        expected: String,
    },
    /// A lens that cannot be fitted to these windows.
    #[error("cannot fit the {lens}: {reason}")]
    CannotFit {
        /// The name of the lens.
        lens: &'static str,
        /// Why, and what to do.
        reason: String,
    },
    /// A file that is not a lens.
    #[error("{} is not a lens that can be read: {reason}", path.display())]
    NotALens {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    CannotWrite {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
}
