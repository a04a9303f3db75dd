//! What can go wrong in a measure: [`ProbeError`].

use std::path::PathBuf;

use stratigraph_core::{CoreError, shown};

use crate::lens::LensError;

/// The result of an operation of this crate.
pub type Result<T, E = ProbeError> = std::result::Result<T, E>;

/// An error of `stratigraph-probes`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// A corpus or a hook that does not fit the model.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A metric that is NaN or infinite.
    #[error(
        "{metric} is {value} at position {position} of window {sequence}: the logits there are not finite, or the metric \
         is not defined for them; run the model in f32, or leave the metric out"
    )]
    NotFinite {
        /// The metric's name.
        metric: String,
        /// The value.
        value: f64,
        /// The window of the corpus.
        sequence: usize,
        /// The position in the window.
        position: usize,
    },
    /// An unknown name of a metric.
    #[error("unknown metric `{}`; known: {known}", shown(name))]
    UnknownMetric {
        /// The name as it was given.
        name: String,
        /// The names that are known here, with commas between.
        known: String,
    },
    /// Two metrics with the same name in a set.
    #[error("the set has a metric `{name}` already; give the other one another name")]
    DuplicateMetric {
        /// The name.
        name: String,
    },
    /// A metric whose name is empty.
    #[error("a metric has an empty name; scores are kept by the metric's name")]
    MetricWithoutName,
    /// A metric that has no value at any position that was measured.
    #[error(
        "the metric `{name}` has no value at any position; check that what it is computed from is what it implements"
    )]
    MetricWithoutValues {
        /// The metric's name.
        name: String,
    },
    /// Scores of other metrics than expected, or of the same in another order.
    #[error("the scores are of the metrics {found}, not of {expected}; measure both with the same set")]
    OtherMetrics {
        /// The metrics that were found, with commas between.
        found: String,
        /// The metrics that were expected, with commas between.
        expected: String,
    },
    /// A number of most likely tokens that the vocabulary cannot give.
    #[error("the {k} most likely tokens were asked for; it must be from 1 to {d_vocab}, the size of the vocabulary")]
    TopKOutOfRange {
        /// How many were asked for.
        k: usize,
        /// The size of the vocabulary.
        d_vocab: usize,
    },
    /// Groups of positions that do not fit their corpus.
    #[error("cannot group positions by `{grouping}`: {reason}")]
    BadGroups {
        /// The name of the grouping.
        grouping: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that is not a built-in grouping's.
    #[error("unknown grouping `{}`; known: {known}", shown(name))]
    UnknownGrouping {
        /// The name as it was given.
        name: String,
        /// The names that are known, with commas between.
        known: String,
    },
    /// A tensor of another shape than expected.
    #[error("{what} has the wrong shape: {found:?} instead of {expected:?}")]
    WrongShape {
        /// The tensor.
        what: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// Windows that the corpus does not have.
    #[error("windows {start} to {end} (exclusive) were asked for, and the corpus has {n_sequences}")]
    NoSuchWindows {
        /// The first window that was asked for.
        start: usize,
        /// The window after the last.
        end: usize,
        /// Windows of the corpus.
        n_sequences: usize,
    },
    /// A clean stream that is not among the residual streams.
    #[error("the clean stream {stream} does not exist: there are {n_streams} residual streams, counted from 0")]
    NoSuchStream {
        /// The index that was given.
        stream: usize,
        /// How many residual streams there are.
        n_streams: usize,
    },
    /// A clean model with another vocabulary.
    #[error(
        "the clean model has a vocabulary of {clean} tokens and the other one of {changed}; distributions over different \
         tokens cannot be compared"
    )]
    OtherVocabulary {
        /// The size of the clean model's vocabulary.
        clean: usize,
        /// The size of the other model's.
        changed: usize,
    },
    /// More or fewer scores than residual streams.
    #[error("there are {n_scores} scores for {n_streams} residual streams; give one for each stream")]
    ScoresMissing {
        /// How many scores there are.
        n_scores: usize,
        /// How many residual streams there are.
        n_streams: usize,
    },
    /// More or fewer tokens than rows.
    #[error("there are {n_tokens} tokens for {n_rows} rows; give one for each row")]
    TokensMissing {
        /// How many tokens there are.
        n_tokens: usize,
        /// How many rows there are.
        n_rows: usize,
    },
    /// A row that a residual stream does not have.
    #[error("row {row} does not exist: the residual stream has {n_rows} rows, counted from 0 through all its windows")]
    NoSuchRow {
        /// The row that was asked for.
        row: usize,
        /// How many rows there are.
        n_rows: usize,
    },
    /// Tiles of logits that hold nothing.
    #[error("tiles of {rows} rows and {vocab} tokens hold no logits; both must be at least 1")]
    EmptyTiles {
        /// Rows of a tile.
        rows: usize,
        /// Tokens of a tile.
        vocab: usize,
    },
    /// A measure that reads weights, on a model that does not give access to them.
    #[error(
        "this model does not give access to its weights, which this measure reads; implement ResidualModel::weights"
    )]
    WeightsMissing,
    /// A measure of heads, and a model whose shape does not say how many it has.
    #[error("this model does not say how many attention heads it has; add ModelShape::with_heads to its shape")]
    HeadsUnknown,
    /// Output weights of heads that differ from those that the model runs with.
    #[error(
        "the heads of layer {layer} and their output bias do not add up to what its attention writes: {:.1} % of its length \
         is missing; check ModelWeights::w_o and ModelWeights::b_o", 100.0 * missing
    )]
    HeadsDoNotAddUp {
        /// The layer.
        layer: usize,
        /// How much is missing, as a fraction of the length of what attention writes.
        missing: f64,
    },
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
    /// Activations that are NaN or infinite.
    #[error("{what} {place} is not finite in window or sentence {sequence}: the activations left the range of f32")]
    ActivationNotFinite {
        /// Which activations.
        what: &'static str,
        /// The layer, or the residual position.
        place: usize,
        /// The window or sentence, from 0.
        sequence: usize,
    },
    /// A residual stream that is zero, which has no direction and so no cosine with another.
    #[error(
        "the residual stream at residual position {position} is zero somewhere in window {sequence}, so that it has no \
         direction; leave the geometry out"
    )]
    NoDirection {
        /// The residual position.
        position: usize,
        /// The window, from 0.
        sequence: usize,
    },
    /// Vectors whose inner products are too large for f32.
    #[error("the inner products of the vectors of set {set} are not finite: the activations left the range of f32")]
    SetNotFinite {
        /// Which of the sets that are compared, from 0: the residual position, where there is one set for each.
        set: usize,
    },
    /// Weights whose squares are too large for f32.
    #[error("the squares of {what} are not finite: the weights are too large to be measured in f32")]
    WeightsTooLarge {
        /// Which weights.
        what: String,
    },
    /// Too few pairs to fit a probe to, or none to test it on.
    #[error("there are {train} training pairs and {test} test pairs; at least {needed} and 1 are needed")]
    TooFewPairs {
        /// Pairs to fit to.
        train: usize,
        /// Pairs to test on.
        test: usize,
        /// How many pairs a fit needs.
        needed: usize,
    },
    /// A sentence of fewer than two tokens, or with no token for its word.
    #[error("`{}` has fewer than two tokens, or none for its word", shown(sentence))]
    NoTarget {
        /// The sentence.
        sentence: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    CannotRead {
        /// The file.
        path: PathBuf,
        /// The system's reason.
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
    /// A lens that cannot be fitted, read or written.
    #[error(transparent)]
    Lens(#[from] LensError),
}
