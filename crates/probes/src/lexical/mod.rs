//! Measurements of words: their senses ([`wic_accuracy`]), their ends ([`merging_heads`]) and their suffixes
//! ([`ensembles`]), in a text whose [`Words`] are known; pairs of tokens within and across words ([`WordPairs`]); and what the
//! tokens of a window are, by their text ([`PositionClass`], [`WordPart`]).

mod ensemble;
mod groupings;
mod max_statistic;
mod merging;
mod pairs;
mod position_class;
mod wic;
mod wic_probe;
mod words;

pub use ensemble::{ENSEMBLE_NEURONS, EnsembleAccuracy, EnsembleNeuron, Ensembles, SuffixTask, ensembles};
pub use max_statistic::merging_threshold;
pub use merging::{MergingHead, WordEndOptions, WordEnds, merging_heads};
pub use pairs::{WindowWords, WordPairs};
pub use position_class::{PositionClass, WordPart};
pub use wic::{WicPair, WicSentence, WicTokens};
pub use wic_probe::{WicAccuracy, WicOptions, WicProbe, WicSplit, wic_accuracy};
pub use words::{Word, Words};
