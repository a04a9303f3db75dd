//! Means that merge, and their standard errors: [`Moments`] of numbers, [`PerSequence`] of windows, [`Summary`]; and
//! [`Proportion`]s.

mod proportion;

pub use proportion::{Interval, Proportion};
pub use stratigraph_core::{Moments, PerSequence, SequenceCount, Summary};
