//! Documents in, windows of tokens out.
//!
//! A [`Corpus`] is opened from text files, JSONL, Parquet, directories or a stream, and cut into
//! [`TokenWindows`](stratigraph_core::TokenWindows) as [`Windows`] says: the first ones, or drawn at random by a seed. A
//! [`TextEncoder`] is a tokenizer as a corpus uses it, a [`TextDecoder`] the way back. Files are read as streams: two windows of a file of 10 GB need a few
//! megabytes of memory.
//!
//! ```
//! use stratigraph_corpus::{Corpus, Windows};
//! use stratigraph_models::Checkpoint;
//!
//! let tokenizer = Checkpoint::open("../../models/tiny")?.tokenizer()?;
//! let corpus = Corpus::open("../../examples/data/documents.jsonl")?;
//! let windows = corpus.windows(&tokenizer, Windows::of(64).count(20).seed(1))?;
//! assert_eq!((windows.n_sequences(), windows.seq_len()), (20, 64));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod corpus;
mod document;
mod encoder;
mod error;
mod jsonl;
mod keys;
#[cfg(feature = "parquet")]
mod parquet;
mod sample;
mod source;
mod spool;
mod stream;
mod utf8;
mod windows;

pub use corpus::Corpus;
pub use encoder::{BosToken, TextDecoder, TextEncoder};
pub use error::{CorpusError, Result};
pub use source::DocumentFormat;
pub use stream::{Chunks, encode_reader, encode_reader_in};
pub use windows::{BosMode, Draw, SampleOver, Windows};
