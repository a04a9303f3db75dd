//! Standard errors and resampling of what was measured on the windows of a corpus: [`WindowErrors`], [`Resampling`],
//! [`ErrorBasis`].
//!
//! Windows of one document are correlated, and so are neighbouring windows of one text. Errors that treat them as independent
//! are too small. With [eight documents or more](LEAST_DOCUMENTS), errors are over documents as clusters; with fewer they are
//! over windows in their order, corrected for autocorrelation. Intervals take quantiles of Student's t.

mod resampling;
mod student;
mod windows;

use serde::{Deserialize, Serialize};

pub use resampling::Resampling;
pub use student::{t_p_value, t_quantile};
pub use windows::{WindowErrors, WindowMean, cluster_sem};

/// The fewest documents over which errors are taken; with fewer, the documents' own spread is not known well enough.
pub const LEAST_DOCUMENTS: usize = 8;

/// The fewest windows whose autocorrelation is corrected for; fewer cannot show any.
pub const LEAST_WINDOWS: usize = 8;

/// What the standard errors of a mean are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorUnit {
    /// Documents: the windows of one document are a cluster.
    Documents,
    /// Windows in the order of the text, corrected for their autocorrelation.
    Windows,
    /// Pairs of prompts.
    Pairs,
    /// Words: all pairs of sentences of one word are a cluster.
    Words,
    /// Prompts that are not from the corpus.
    Prompts,
    /// Items of a benchmark.
    Items,
}

impl ErrorUnit {
    /// The unit as a reader calls it.
    pub fn title(self) -> &'static str {
        match self {
            ErrorUnit::Documents => "documents",
            ErrorUnit::Windows => "windows",
            ErrorUnit::Pairs => "pairs",
            ErrorUnit::Words => "words",
            ErrorUnit::Prompts => "prompts",
            ErrorUnit::Items => "items",
        }
    }
}

/// What standard errors are over, how many there are of it, and the degrees of freedom of an interval.
///
/// ```
/// use stratigraph_profile::statistics::{ErrorBasis, ErrorUnit};
/// let basis = ErrorBasis::new(ErrorUnit::Documents, 11);
/// assert_eq!(basis.df, 10);
/// assert!((basis.half_width(1.0, 0.95) - 2.228).abs() < 1e-3); // the quantile of Student's t
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorBasis {
    /// What is counted.
    pub over: ErrorUnit,
    /// How many.
    pub n: usize,
    /// Degrees of freedom of Student's t.
    pub df: usize,
}

impl ErrorBasis {
    /// Of `n` independent units, with `n - 1` degrees of freedom.
    pub fn new(over: ErrorUnit, n: usize) -> Self {
        Self { over, n, df: n.saturating_sub(1) }
    }

    /// With other degrees of freedom.
    pub fn with_df(self, df: usize) -> Self {
        Self { df, ..self }
    }

    /// Half the width of the interval of a mean with this standard error that covers with the probability `confidence`; NaN
    /// where there are no degrees of freedom.
    pub fn half_width(self, sem: f64, confidence: f64) -> f64 {
        t_quantile(confidence, self.df) * sem
    }
}
