//! Tests of corpora with the tokenizers of the fixtures.

mod documents;
mod sampling;
mod streams;
mod support;
