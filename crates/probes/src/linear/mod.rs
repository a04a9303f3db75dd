//! Linear probes: [`Logistic`] regression on [`Examples`]; and ridge regression from sums, for lenses.

mod cholesky;
mod convex;
mod logistic;
mod ridge;

pub use logistic::{Examples, Logistic};
pub(crate) use ridge::{RidgeFit, RidgeSums};
