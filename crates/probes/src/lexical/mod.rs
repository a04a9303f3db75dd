//! Measurements of words: their senses ([`wic_accuracy`]), their ends ([`merging_heads`]) and their suffixes
//! ([`ensembles`], also before [verbs](VerbForms)), in a text whose [`Words`] are known or in windows of tokens ([`WindowWords`]); pairs of tokens within and
//! across words ([`WordPairs`]); and what the tokens of a window are ([`PositionClass`], [`WordPart`]).

mod ensemble;
mod ensemble_neuron;
mod groupings;
mod max_statistic;
mod merging;
mod pairs;
mod position_class;
mod verbs;
mod wic;
mod wic_probe;
mod window_words;
mod words;

pub use ensemble::{ENSEMBLE_NEURONS, EnsembleAccuracy, Ensembles, SuffixTask, ensembles};
pub use ensemble_neuron::EnsembleNeuron;
pub use max_statistic::merging_threshold;
pub use merging::{MergingHead, WordEndOptions, WordEnds, merging_heads};
pub use pairs::WordPairs;
pub use position_class::PositionClass;
pub use verbs::VerbForms;
pub use wic::{WicPair, WicSentence, WicTokens};
pub use wic_probe::{WicAccuracy, WicOptions, WicProbe, WicSplit, wic_accuracy};
pub use window_words::{WindowWords, WordPart};
pub use words::{Word, Words};
