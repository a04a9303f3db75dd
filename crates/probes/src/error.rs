//! What can go wrong in a measure: [`ProbeError`].

use std::path::PathBuf;

use stratigraph_core::CoreError;

use crate::Metric;
use crate::tasks::{ItemProblem, PairProblem};

/// The result of an operation of this crate.
pub type Result<T, E = ProbeError> = std::result::Result<T, E>;

/// An error of `stratigraph-probes`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// A corpus or a hook that does not fit the model.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A number that is NaN or infinite: the model's activations left the range of f32.
    #[error("{metric} is {value} at position {position} of window {sequence}: the activations are not finite there")]
    NotFinite {
        /// What was measured.
        metric: Metric,
        /// What came out.
        value: f64,
        /// The window of the corpus.
        sequence: usize,
        /// The position in the window.
        position: usize,
    },
    /// A measure of weights, and a model that does not give them.
    #[error(
        "this model does not give access to its weights, which this measure reads; implement ResidualModel::weights"
    )]
    WeightsMissing,
    /// A model whose neurons write nothing that can be compared with tokens.
    #[error("the model has no MLP neuron whose output weights are finite and not all zero")]
    NoNeurons,
    /// Windows in which a measure of attention has nothing to measure.
    #[error("windows of {seq_len} tokens are too short for {measure}")]
    WindowsTooShort {
        /// The measure.
        measure: String,
        /// Tokens in a window.
        seq_len: usize,
    },
    /// A setting that a measure cannot use.
    #[error("{setting} cannot be {value}: {reason}")]
    BadSetting {
        /// The setting.
        setting: &'static str,
        /// The value it was given.
        value: usize,
        /// What it may be.
        reason: String,
    },
    /// A text in which too few words are of the kind that a measure looks at.
    #[error("the text has {found} words {kind}, and {needed} are needed")]
    TooFewWords {
        /// The kind.
        kind: String,
        /// How many there are.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Activations that are NaN or infinite, of which nothing can be learnt.
    #[error("{what} {place} is not finite in window or sentence {sequence}: the activations left the range of f32")]
    ActivationNotFinite {
        /// Of what.
        what: &'static str,
        /// The layer, or the place in the residual stream.
        place: usize,
        /// The window or sentence, from 0.
        sequence: usize,
    },
    /// Too few pairs to fit a probe to, or none to ask about.
    #[error("there are {train} pairs to fit to and {test} to ask about; it takes {needed} and 1 at least")]
    TooFewPairs {
        /// Pairs to fit to.
        train: usize,
        /// Pairs to ask about.
        test: usize,
        /// How many it takes to fit.
        needed: usize,
    },
    /// A sentence whose word cannot be looked at.
    #[error("`{sentence}` has fewer than two tokens, or none for its word")]
    NoTarget {
        /// The sentence.
        sentence: String,
    },
    /// A name that is no task's.
    #[error("unknown task `{name}`; known: lambada, hellaswag, arc_easy")]
    UnknownTask {
        /// The name as it was given.
        name: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    CannotRead {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A line of a file that is not what it should be.
    #[error("{}, line {line}: {reason}", path.display())]
    BadLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of items that has none.
    #[error("{} has no items", path.display())]
    NoItems {
        /// The file.
        path: PathBuf,
    },
    /// A line that is not an item of the task.
    #[error("{}, line {line}: {problem}", path.display())]
    BadItem {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: ItemProblem,
    },
    /// A continuation whose tokens cannot be scored.
    #[error("continuation {continuation} of item {item} (both from 0) cannot be scored: {problem}")]
    BadContinuation {
        /// The item, from 0.
        item: usize,
        /// The continuation of the item, from 0.
        continuation: usize,
        /// Why.
        problem: PairProblem,
    },
}
