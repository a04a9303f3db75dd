//! What can go wrong between a name and a directory: [`HubError`].

use std::path::PathBuf;

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, HubError>;

/// An error of `stratigraph-hub`; each one names the model or file that is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A text that does not name a model.
    #[error("`{id}` names no model of the hub: {reason}")]
    BadId {
        /// The text as it was given.
        id: String,
        /// The form of a valid name.
        reason: String,
    },
    /// Neither the environment nor the system says where the cache is.
    #[error("no directory for the cache is known: set HF_HOME or HF_HUB_CACHE")]
    NoCache,
    /// A model that the cache lacks, or has only in part, where nothing may be downloaded.
    #[error("{id} is not in the cache {}: {missing}; {reason}", cache.display())]
    NotCached {
        /// The model.
        id: String,
        /// The cache.
        cache: PathBuf,
        /// What the cache lacks.
        missing: String,
        /// Why it is not downloaded.
        reason: String,
    },
    /// A failed operation of the file system, such as on a full disk.
    #[error("cannot write {}: {reason}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A model that only some users may download.
    #[error(
        "the hub does not give access to {id} (status {status}): if it exists, accept its terms there and set HF_TOKEN"
    )]
    NoAccess {
        /// The model.
        id: String,
        /// The status of the response.
        status: u16,
    },
    /// A model that the hub does not have.
    #[error("the hub has no model {id}")]
    RepoNotFound {
        /// The model.
        id: String,
    },
    /// A revision that the model does not have.
    #[error("{repo} has no revision `{revision}`")]
    RevisionNotFound {
        /// The model.
        repo: String,
        /// The branch, tag or commit.
        revision: String,
    },
    /// A model without the files that are needed.
    #[error("{id} cannot be used: it has no {missing}")]
    MissingFile {
        /// The model.
        id: String,
        /// What was looked for.
        missing: String,
    },
    /// An index with names that are not those of files beside it.
    #[error("{file} is damaged: {reason}")]
    BadIndex {
        /// The index.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A connection that failed or ended too early; what was received is kept, and the next attempt resumes there.
    #[error("lost the connection while fetching {file}, {received} bytes received and kept: {reason}")]
    LostConnection {
        /// The file.
        file: String,
        /// Bytes that are on disk.
        received: u64,
        /// The network's reason.
        reason: String,
    },
    /// A file that is not what the hub says it is; it has been deleted.
    #[error("{file} was damaged in the download and deleted: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// How it differs.
        reason: String,
    },
    /// Any other response.
    #[error("the hub's response for {what} cannot be read: {reason}")]
    BadAnswer {
        /// What was asked for.
        what: String,
        /// What is wrong with the response.
        reason: String,
    },
}

#[cfg(feature = "download")]
impl HubError {
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        move |reason| HubError::Io { path: path.to_owned(), reason }
    }
}
