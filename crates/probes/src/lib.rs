//! Measures on residual streams and logits, as functions on tensors that never hold more than a tile of the vocabulary.
//!
//! In the order of use: a [`Readout`] turns residual streams into next-token distributions, tile by tile, and compares
//! each with the clean one; every [`Metric`] goes into [`Scores`], per window and in f64, so that parts of a corpus
//! merge into what the whole gives; a [`Summary`] is their mean and its standard error.
//!
//! Distributions: `p` is the clean model's, `q` the one under test. Logits at position `t` predict token `t + 1`.

mod device_rows;
mod distributions;
mod error;
mod host_rows;
mod metric;
mod moments;
mod readout;
mod scores;

pub use distributions::Reduction;
pub use error::{ProbeError, Result};
pub use metric::Metric;
pub use moments::{Moments, PerSequence, Summary};
pub use readout::{Readout, Tiles};
pub use scores::Scores;
