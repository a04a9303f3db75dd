//! Numbers over two axes: [`Matrix`].

use serde::{Deserialize, Serialize};

use crate::{Axis, Estimate, Unit, nullable};

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
    /// Their standard errors, `sem[row][column]`, NaN where there is none; empty where no value has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable::rows")]
    pub sem: Vec<Vec<f64>>,
}

impl Matrix {
    /// A matrix of these values, `[row][column]`. Its shape is checked when it is added to a profile.
    pub fn new(rows: Axis, columns: Axis, unit: Unit, values: Vec<Vec<f64>>) -> Self {
        Self { rows, columns, unit, title: None, values, sem: Vec::new() }
    }

    /// A matrix of means with their standard errors, row after row.
    ///
    /// ```
    /// use stratigraph_profile::{Axis, Estimate, Matrix, Unit};
    /// let cells = [Estimate::new(0.5, Some(0.1)), Estimate::exact(2.0)];
    /// let matrix = Matrix::from_estimates(Axis::layers(1), Axis::heads(2), Unit::Nats, cells);
    /// assert_eq!(matrix.values, [[0.5, 2.0]]);
    /// assert_eq!(matrix.estimate(0, 1), Some(Estimate::exact(2.0)));
    /// ```
    pub fn from_estimates(rows: Axis, columns: Axis, unit: Unit, cells: impl IntoIterator<Item = Estimate>) -> Self {
        let cells: Vec<_> = cells.into_iter().collect();
        let by_row = |of: fn(&Estimate) -> f64| -> Vec<Vec<f64>> {
            cells.chunks(columns.len().max(1)).map(|row| row.iter().map(of).collect()).collect()
        };
        let has_errors = cells.iter().any(|cell| cell.sem.is_some());
        let sem = if has_errors { by_row(|cell| cell.sem.unwrap_or(f64::NAN)) } else { Vec::new() };
        Self { sem, ..Self::new(rows, columns.clone(), unit, by_row(|cell| cell.mean)) }
    }

    /// One of its values with its standard error; none where there is no such row or column.
    pub fn estimate(&self, row: usize, column: usize) -> Option<Estimate> {
        let mean = *self.values.get(row)?.get(column)?;
        let sem = self.sem.get(row).and_then(|sems| sems.get(column)).copied().filter(|sem| sem.is_finite());
        Some(Estimate::new(mean, sem))
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
