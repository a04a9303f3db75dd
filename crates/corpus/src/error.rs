//! What can go wrong with a corpus: [`CorpusError`].

use stratigraph_core::CoreError;

/// The result of an operation of this crate.
pub type Result<T, E = CorpusError> = std::result::Result<T, E>;

/// An error of `stratigraph-corpus`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A file or a stream that cannot be read.
    #[error("cannot read {name}: {reason}")]
    CannotRead {
        /// The file.
        name: String,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A text that is not UTF-8.
    #[error(
        "{name} is not UTF-8 at byte {offset}: convert it, with iconv for example, or replace what is not UTF-8 (--lossy)"
    )]
    NotUtf8 {
        /// The file.
        name: String,
        /// The first byte that is not part of a character, from 0.
        offset: u64,
    },
    /// A line that is not a document.
    #[error("{name}, line {line}: {reason}")]
    BadLine {
        /// The file.
        name: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A Parquet file that cannot be read, or has no such column of text.
    #[error("{name}: {reason}")]
    Parquet {
        /// The file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A Parquet file in a build that cannot read it.
    #[error("{name} is a Parquet file, which this build does not read: build with the feature `parquet`")]
    ParquetNotBuilt {
        /// The file.
        name: String,
    },
    /// A file whose format is not clear from its name.
    #[error("the format of {name} is not known: {reason}")]
    UnknownFormat {
        /// The file.
        name: String,
        /// What to do.
        reason: &'static str,
    },
    /// A directory without files.
    #[error("{name} has no files to read")]
    NoFiles {
        /// The directory.
        name: String,
    },
    /// Documents that are all too short.
    #[error(
        "{name} has no document of {needed} tokens, which a window takes: the longest of its {n_documents} documents has {longest}"
    )]
    TooShort {
        /// The corpus.
        name: String,
        /// The tokens of text in a window.
        needed: usize,
        /// Documents that are not empty.
        n_documents: usize,
        /// Tokens of the longest.
        longest: usize,
    },
    /// A window without a token of text, or a sampling of no windows.
    #[error("windows of {seq_len} tokens, one of them BOS, are too short: a window takes at least 2")]
    WindowTooShort {
        /// Tokens of a window.
        seq_len: usize,
    },
    /// A tokenizer that knows no token for the beginning of a text.
    #[error("the tokenizer names no BOS token, so nothing can begin with one; use --bos never")]
    NoBos,
    /// A text that the tokenizer cannot encode.
    #[error("cannot encode {name}: {reason}")]
    Encode {
        /// The file.
        name: String,
        /// The tokenizer's reason.
        reason: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Windows that do not fit together.
    #[error(transparent)]
    Core(#[from] CoreError),
}

impl CorpusError {
    /// A reason of the system for a file.
    pub(crate) fn io(name: &str) -> impl FnOnce(std::io::Error) -> Self {
        let name = name.to_owned();
        move |reason| CorpusError::CannotRead { name, reason }
    }
}
