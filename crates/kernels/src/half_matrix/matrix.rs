//! A matrix of 16-bit numbers, packed for products: [`HalfMatrix`].

use std::ops::Range;

use super::{HalfFormat, LINE, Line, SIDE};
use crate::for_best_cpu;

/// A matrix `[d_in, d_out]` of 16-bit numbers, which rows of `d_in` numbers are multiplied by.
///
/// It is stored in panels of 16 columns. A panel has a line for every two rows: the two numbers of its first column, those of its
/// second, and so on. Panels are filled up with zeros to whole tiles of 32 rows, and there is an even number of them.
///
/// ```
/// use stratigraph_kernels::{HalfFormat, HalfMatrix};
///
/// let mut matrix = HalfMatrix::zeros([2, 3], HalfFormat::Bf16);
/// matrix.set_rows(0, &[1.0, 2.0, 3.0, 4.0, 5.0, 1.0 / 3.0]);
/// let mut row = [0.0; 2];
/// matrix.unpack_rows(1, 0..2, &mut row);
/// assert_eq!(row, [4.0, 5.0]);
/// assert_eq!(matrix.columns(2..3), [3.0, 0.333_984_375]);
/// ```
#[derive(Clone, PartialEq)]
pub struct HalfMatrix {
    format: HalfFormat,
    d_in: usize,
    d_out: usize,
    /// Lines of a panel.
    depth: usize,
    lines: Vec<Line>,
}

impl HalfMatrix {
    /// A matrix of zeros.
    pub fn zeros([d_in, d_out]: [usize; 2], format: HalfFormat) -> Self {
        let depth = d_in.div_ceil(LINE) * SIDE;
        let n_panels = d_out.div_ceil(SIDE).next_multiple_of(2);
        Self { format, d_in, d_out, depth, lines: vec![Line::ZEROS; depth * n_panels] }
    }

    /// `[d_in, d_out]`
    pub fn shape(&self) -> [usize; 2] {
        [self.d_in, self.d_out]
    }

    /// How its numbers are kept.
    pub fn format(&self) -> HalfFormat {
        self.format
    }

    /// Lines of a panel, and of a tile of rows that it multiplies.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn n_panels(&self) -> usize {
        self.lines.len() / self.depth
    }

    /// Two panels, one after the other.
    pub(super) fn panels(&self, first: usize) -> &[Line] {
        &self.lines[first * self.depth..][..2 * self.depth]
    }

    /// Bytes that it takes.
    pub fn n_bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }

    /// Rounds rows of `d_out` numbers into the matrix, from row `first` on.
    ///
    /// # Panics
    /// When they are not whole rows, or more than there are.
    pub fn set_rows(&mut self, first: usize, rows: &[f32]) {
        assert!(rows.len().is_multiple_of(self.d_out), "whole rows");
        for (row, numbers) in (first..).zip(rows.chunks_exact(self.d_out)) {
            numbers.iter().enumerate().for_each(|(column, &x)| self.set(row, column, x));
        }
    }

    /// Rounds columns of `d_in` numbers into the matrix, from column `first` on.
    ///
    /// # Panics
    /// When they are not whole columns, or more than there are.
    pub fn set_columns(&mut self, first: usize, columns: &[f32]) {
        assert!(columns.len().is_multiple_of(self.d_in), "whole columns");
        for (column, numbers) in (first..).zip(columns.chunks_exact(self.d_in)) {
            numbers.iter().enumerate().for_each(|(row, &x)| self.set(row, column, x));
        }
    }

    fn set(&mut self, row: usize, column: usize, x: f32) {
        assert!(row < self.d_in && column < self.d_out, "[{row}, {column}] of {:?}", self.shape());
        let line = &mut self.lines[column / SIDE * self.depth + row / 2];
        line.0[column % SIDE * 2 + row % 2] = self.format.bits(x);
    }

    /// Writes the numbers of `columns` of consecutive rows as f32, from row `first` on; as many rows as fit `numbers`.
    ///
    /// # Panics
    /// When there are no such rows or columns.
    pub fn unpack_rows(&self, first: usize, columns: Range<usize>, numbers: &mut [f32]) {
        let width = columns.len();
        assert!(width > 0 && columns.end <= self.d_out, "{columns:?} of {}", self.d_out);
        assert!(first + numbers.len() / width <= self.d_in, "rows from {first} on of {}", self.d_in);
        let mut line = [0.0; LINE];
        for (row, numbers) in (first..).zip(numbers.chunks_exact_mut(width)) {
            for panel in columns.start / SIDE..columns.end.div_ceil(SIDE) {
                self.format.numbers(&self.lines[panel * self.depth + row / 2].0, &mut line);
                let part = columns.start.max(panel * SIDE)..columns.end.min((panel + 1) * SIDE);
                let numbers = &mut numbers[part.start - columns.start..part.end - columns.start];
                every_second(&line[part.start % SIDE * 2 + row % 2..], numbers);
            }
        }
    }

    /// Some of its columns as f32, one after the other.
    ///
    /// # Panics
    /// When there are no such columns.
    pub fn columns(&self, columns: impl IntoIterator<Item = usize>) -> Vec<f32> {
        let columns = columns.into_iter();
        let mut numbers = Vec::with_capacity(self.d_in * columns.size_hint().0);
        let mut bits = vec![0; self.d_in];
        let mut column_numbers = vec![0.0; self.d_in];
        for column in columns {
            assert!(column < self.d_out, "column {column} of {}", self.d_out);
            let panel = &self.lines[column / SIDE * self.depth..][..self.depth];
            for (pair, line) in bits.chunks_mut(2).zip(panel) {
                pair.copy_from_slice(&line.0[column % SIDE * 2..][..pair.len()]);
            }
            self.format.numbers(&bits, &mut column_numbers);
            numbers.extend_from_slice(&column_numbers);
        }
        numbers
    }
}

for_best_cpu! {
    /// Copies every second number.
    fn every_second(numbers: &[f32], out: &mut [f32]) -> () {
        out.iter_mut().zip(numbers.iter().step_by(2)).for_each(|(out, &x)| *out = x);
    }
}

impl std::fmt::Debug for HalfMatrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HalfMatrix({:?}, {:?})", self.format, self.shape())
    }
}
