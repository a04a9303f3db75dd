//! Numbers over two axes: [`Matrix`].

use serde::{Deserialize, Serialize};

use crate::{Axis, Unit, nullable};

/// A number for each point of one axis with each point of another, such as every residual position with every other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Matrix {
    /// What runs downwards.
    pub rows: Axis,
    /// What runs to the right.
    pub columns: Axis,
    /// What its numbers are measured in.
    pub unit: Unit,
    /// Its title, where it is not in the [catalogue](crate::catalogue).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `values[row][column]`; NaN, written as `null`, where there is none.
    #[serde(deserialize_with = "nullable::rows")]
    pub values: Vec<Vec<f64>>,
}

impl Matrix {
    /// A matrix of these values, `[row][column]`. Its shape is checked when it is added to a profile.
    pub fn new(rows: Axis, columns: Axis, unit: Unit, values: Vec<Vec<f64>>) -> Self {
        Self { rows, columns, unit, title: None, values }
    }

    /// Sets the title that reports show for it.
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Whether any of its values is a number.
    pub fn has_numbers(&self) -> bool {
        self.values.iter().flatten().any(|value| value.is_finite())
    }
}
