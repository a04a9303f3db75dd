//! Means that merge, and their standard errors: [`Moments`] of numbers, [`PerSequence`] of windows, [`Summary`].

pub use stratigraph_core::{Moments, PerSequence, Summary};
