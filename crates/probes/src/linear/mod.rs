//! Linear probes: [`Logistic`] regression on [`Examples`], in [`Folds`]; and ridge regression from sums, for lenses.

mod cholesky;
mod convex;
mod examples;
mod logistic;
mod ridge;

pub use examples::Examples;
pub use logistic::{Folds, Logistic};
pub(crate) use ridge::{RidgeFit, RidgeSums};
