//! Linear probes: [`Logistic`] regression on [`Examples`].

mod convex;
mod logistic;

pub use logistic::{Examples, Logistic};
