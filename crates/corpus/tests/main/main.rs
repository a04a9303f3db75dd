//! Tests of corpora with the tokenizers of the fixtures.

mod documents;
mod mutations;
#[cfg(feature = "parquet")]
mod parquet_files;
mod sampling;
mod streams;
mod support;
