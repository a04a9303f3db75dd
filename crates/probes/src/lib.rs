//! Measures on residual streams and logits, as functions on tensors that never hold more than a tile of the vocabulary.
//!
//! In the order of use: a [`Readout`] turns residual streams into next-token distributions, tile by tile, and compares
//! each with the clean one; the [`Metrics`] of a set go into [`Scores`], per window and in f64, so that parts of a corpus
//! merge into what the whole gives; a [`Summary`] is their mean and its standard error. A [`Metric`] of your own takes part
//! like the built-in ones.
//!
//! What happens inside is read by an [`Observer`], of which several share one run ([`observe`]): [`AttentionHeads`] says how
//! far heads look back, [`Geometry`] how long and in which direction the residual stream runs. [`cka`] compares sets of
//! vectors, [`vocabulary_profiles`] tells what neurons write ([`class_association`] for which kinds of tokens, [`NullSpace`]
//! whether for none), and a [`Logistic`] probe what vectors know: [`wic_accuracy`] of a word's sense, [`ensembles`] of the
//! next word's suffix. [`merging_heads`] put words together from their tokens, which [`Words`] finds in a text.
//!
//! Distributions: `p` is the clean model's, `q` the one under test. Logits at position `t` predict token `t + 1`.
//!
//! [`Readout`]: readout::Readout
//! [`Metrics`]: metrics::Metrics
//! [`Metric`]: metrics::Metric
//! [`Scores`]: scores::Scores
//! [`Summary`]: statistics::Summary

mod attention;
mod convex;
mod eigen;
mod ensemble;
mod error;
mod geometry;
mod logistic;
mod merging;
pub mod metrics;
mod neurons;
mod null_space;
mod observer;
mod proportion;
pub mod readout;
mod sample;
pub mod scores;
mod similarity;
pub mod statistics;
mod token_class;
mod wic;
mod wic_probe;
mod words;

pub use attention::{AttentionHeads, AttentionMeasure, attention};
pub use ensemble::{ENSEMBLE_NEURONS, EnsembleNeuron, Ensembles, SuffixTask, ensembles};
pub use error::{ProbeError, Result};
pub use geometry::{Geometry, cosine, norm};
pub use logistic::{Examples, Logistic};
pub use merging::{MergingHead, WordEnds, merging_heads};
pub use neurons::{NeuronProfile, VocabularyDirections, vocabulary_profiles};
pub use null_space::NullSpace;
pub use observer::{Observer, observe};
pub use proportion::Proportion;
pub use sample::StreamSample;
pub use similarity::{cka, cka_unbiased};
pub use token_class::{TokenClass, class_association};
pub use wic::{WicPair, WicSentence, WicTokens};
pub use wic_probe::{WicAccuracy, WicOptions, WicProbe, wic_accuracy};
pub use words::{Word, Words};

pub(crate) use readout::Readout;
pub(crate) use statistics::{Moments, PerSequence, Summary};
