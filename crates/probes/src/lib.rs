//! Measures on residual streams and logits, as functions on tensors that never hold more than a tile of the vocabulary.
//!
//! In the order of use: a [`Readout`] turns residual streams into next-token distributions, tile by tile, and compares
//! each with the clean one; every [`Metric`] goes into [`Scores`], per window and in f64, so that parts of a corpus
//! merge into what the whole gives; a [`Summary`] is their mean and its standard error.
//!
//! An [`Observer`](stratigraph_core::Observer) measures activations, and several share one run
//! ([`observe`](stratigraph_core::observe)): [`AttentionHeads`] says how far heads look back, [`Geometry`] how long and in
//! which direction the residual stream runs. [`cka`] compares sets of
//! vectors, [`vocabulary_profiles`] tells what neurons write ([`class_association`] for which kinds of tokens, [`NullSpace`]
//! whether for none), and a [`Logistic`] probe what vectors know: [`wic_accuracy`] of a word's sense, [`ensembles`] of the
//! next word's suffix. [`merging_heads`] put words together from their tokens, which [`Words`] finds in a text.
//!
//! [`tasks`] scores benchmarks by how likely a model holds each of the given continuations of a text.
//!
//! Distributions: `p` is the clean model's, `q` the one under test. Logits at position `t` predict token `t + 1`.

mod attention;
mod convex;
mod device_rows;
mod eigen;
mod ensemble;
mod error;
mod geometry;
mod host_rows;
mod logistic;
mod merging;
mod metric;
mod moments;
mod neurons;
mod null_space;
mod proportion;
mod readout;
mod reduction;
mod scores;
mod similarity;
pub mod tasks;
mod tile;
mod token_class;
mod wic;
mod wic_probe;
mod words;
mod work;

pub use attention::{AttentionHeads, AttentionMeasure, attention};
pub use ensemble::{ENSEMBLE_NEURONS, EnsembleNeuron, Ensembles, SuffixTask, ensembles};
pub use error::{ProbeError, Result};
pub use geometry::{Geometry, cosine, norm};
pub use logistic::{Examples, Logistic};
pub use merging::{MergingHead, WordEndOptions, WordEnds, merging_heads};
pub use metric::Metric;
pub use moments::{Moments, PerSequence, Summary};
pub use neurons::{NeuronProfile, VocabularyDirections, vocabulary_profiles};
pub use null_space::NullSpace;
pub use proportion::Proportion;
pub use readout::{Readout, Tiles, TokenScore};
pub use reduction::Reduction;
pub use scores::{PositionScores, Row, ScoreSink, Scores};
pub use similarity::{cka, cka_unbiased};
pub use token_class::{TokenClass, class_association};
pub use wic::{WicPair, WicSentence, WicTokens};
pub use wic_probe::{WicAccuracy, WicOptions, WicProbe, WicSplit, wic_accuracy};
pub use words::{Word, Words};
