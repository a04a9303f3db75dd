//! Numbers of one position, from the next-token distributions there: [`Metric`], sets of them ([`Metrics`]), and the
//! built-in ones ([`Kl`], [`Loss`], [`JensenShannon`], [`Rank`] and so on).
//!
//! `p` is the clean distribution, `q` the changed one, `x` the token that follows. `argmax` is the lowest token id on ties.
//!
//! Names, definitions and units are in `docs/definitions.md`, which the catalogue of `stratigraph-profile` writes.

mod from_logits;
mod from_statistics;
mod logit_rows;
mod output_token;
mod row_statistics;
mod set;

pub use from_logits::*;
pub use from_statistics::*;
pub use logit_rows::{LogitRow, LogitRows};
pub use output_token::{OutputProbability, OutputRank};
pub(crate) use row_statistics::Position;
pub use row_statistics::{NextToken, RowStatistics};
pub use set::Metrics;

use crate::Result;

/// What a metric is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricInput {
    /// Statistics of the row, by [`Metric::of_row`]: one vectorised pass over tiles of the vocabulary gives them for all
    /// metrics together.
    Statistics,
    /// Both rows of logits over the whole vocabulary, by [`Metric::of_logits`]. This costs a second pass, in which the
    /// logits are computed again; it runs only where a set has such a metric.
    Logits,
}

/// A named number of one position, from the changed distribution there, the clean one and the token that follows.
///
/// Implement [`of_row`](Metric::of_row) where the statistics of a row suffice. Otherwise implement
/// [`of_logits`](Metric::of_logits) and let [`input`](Metric::input) return [`MetricInput::Logits`].
///
/// ```
/// use stratigraph_probes::metrics::{Metric, Metrics, RowStatistics};
///
/// /// The loss in bits.
/// struct Surprise;
/// impl Metric for Surprise {
///     fn name(&self) -> &str { "surprise_bits" }
///     fn unit(&self) -> &str { "bits" }
///     fn needs_next_token(&self) -> bool { true }
///     fn of_row(&self, row: &RowStatistics) -> Option<f64> {
///         Some(-row.next_token()?.log_prob / std::f64::consts::LN_2)
///     }
/// }
///
/// let metrics = Metrics::default().with(Surprise)?;
/// assert_eq!(metrics.names().last(), Some("surprise_bits"));
/// # Ok::<(), stratigraph_probes::ProbeError>(())
/// ```
pub trait Metric: Send + Sync {
    /// The name under which it is written, unique in a set. Like all other answers except the values, it must be the
    /// same at every call.
    fn name(&self) -> &str;

    /// Its unit, such as `nats`, `bits` or `fraction`.
    fn unit(&self) -> &str;

    /// Whether it needs the token that follows, which the last position of a window lacks; it is not computed there. By
    /// default it does not.
    fn needs_next_token(&self) -> bool {
        false
    }

    /// Whether it measures a difference between the two distributions, so that it says nothing about the clean one alone.
    /// By default it does not.
    fn is_comparison(&self) -> bool {
        false
    }

    /// What it is computed from; by default [`MetricInput::Statistics`].
    fn input(&self) -> MetricInput {
        MetricInput::Statistics
    }

    /// Its value from the statistics of a row; none where it is not defined.
    fn of_row(&self, _row: &RowStatistics) -> Option<f64> {
        None
    }

    /// Its value from both rows of logits; none where it is not defined.
    fn of_logits(&self, _rows: &LogitRows) -> Option<f64> {
        None
    }

    /// Refuses a vocabulary of `d_vocab` tokens on which it is not defined; asked once before anything is computed.
    ///
    /// # Errors
    /// When a token of the metric is outside the vocabulary, or it wants more tokens than there are.
    fn check(&self, _d_vocab: usize) -> Result<()> {
        Ok(())
    }
}
