//! Measurements of words: their senses ([`wic_accuracy`]), their ends ([`merging_heads`]) and their suffixes
//! ([`ensembles`]), in a text whose [`Words`] are known; and pairs of tokens within and across words ([`WordPairs`]).

mod ensemble;
mod merging;
mod pairs;
mod wic;
mod wic_probe;
mod words;

pub use ensemble::{ENSEMBLE_NEURONS, EnsembleAccuracy, EnsembleNeuron, Ensembles, SuffixTask, ensembles};
pub use merging::{MergingHead, WordEndOptions, WordEnds, merging_heads};
pub use pairs::{WindowWords, WordPairs};
pub use wic::{WicPair, WicSentence, WicTokens};
pub use wic_probe::{WicAccuracy, WicOptions, WicProbe, WicSplit, wic_accuracy};
pub use words::{Word, Words};
