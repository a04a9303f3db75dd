//! Linear probes: [`Logistic`] regression on [`Examples`], in [`Folds`].

mod convex;
mod examples;
mod logistic;

pub use examples::Examples;
pub use logistic::{Folds, Logistic};
