//! Measures on residual streams and logits, as functions on tensors that never hold more than a tile of the vocabulary.
//!
//! In the order of use: a [`Readout`] turns residual streams into next-token distributions, tile by tile, and compares
//! each with the clean one; every [`Metric`] goes into [`Scores`], per window and in f64, so that parts of a corpus
//! merge into what the whole gives; a [`Summary`] is their mean and its standard error.
//!
//! What happens inside is read by an [`Observer`], of which several share one run ([`observe`]): [`AttentionHeads`] says how
//! far heads look back, [`Geometry`] how long and in which direction the residual stream runs. [`cka`] compares sets of
//! vectors, [`vocabulary_profiles`] tells what neurons write, and a [`Logistic`] probe what vectors know.
//!
//! [`tasks`] scores benchmarks by how likely a model holds each of the given continuations of a text.
//!
//! Distributions: `p` is the clean model's, `q` the one under test. Logits at position `t` predict token `t + 1`.

mod attention;
mod device_rows;
mod distributions;
mod error;
mod geometry;
mod host_rows;
mod logistic;
mod metric;
mod moments;
mod neurons;
mod observer;
mod readout;
mod sample;
mod scores;
mod similarity;
pub mod tasks;

pub use attention::{AttentionHeads, AttentionMeasure, attention};
pub use distributions::Reduction;
pub use error::{ProbeError, Result};
pub use geometry::{Geometry, cosine, norm};
pub use logistic::{Examples, Logistic};
pub use metric::Metric;
pub use moments::{Moments, PerSequence, Summary};
pub use neurons::{NeuronProfile, VocabularyDirections, vocabulary_profiles};
pub use observer::{Observer, observe};
pub use readout::{Readout, Tiles, TokenScore};
pub use sample::StreamSample;
pub use scores::Scores;
pub use similarity::{cka, cka_unbiased};
