//! What can go wrong in a measure: [`ProbeError`].

use crate::Metric;

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, ProbeError>;

/// An error of `stratigraph-probes`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
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
    /// Weights that a measure reads and the model does not tell.
    #[error("the model does not tell its {what} weights, which neurons are measured by")]
    WeightsMissing {
        /// Which.
        what: &'static str,
    },
}
