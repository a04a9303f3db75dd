//! Products of rows and a [`HalfMatrix`] on a [`Bfloat16Unit`].

use std::ops::Range;

use super::convert::split_row;
use super::{BLOCK, Bfloat16Unit, Factors, HalfFormat, HalfMatrix, Line, SIDE};

/// Rows as pairs of numbers of bfloat16.
struct SplitRows {
    high: Vec<Line>,
    low: Vec<Line>,
}

impl SplitRows {
    /// Rows of `d_in` numbers in tiles of `depth` lines; the last block is filled up with zeros.
    fn new(rows: &[f32], d_in: usize, depth: usize) -> Self {
        let n_lines = (rows.len() / d_in).div_ceil(BLOCK) * 2 * depth;
        let (mut high, mut low) = (vec![Line::ZEROS; n_lines], vec![Line::ZEROS; n_lines]);
        for (index, row) in rows.chunks_exact(d_in).enumerate() {
            let first = index / SIDE * depth + index % SIDE;
            let end = (index / SIDE + 1) * depth;
            split_row(row, &mut high[first..end], &mut low[first..end]);
        }
        Self { high, low }
    }
}

impl HalfMatrix {
    /// The products of `rows`, each of `d_in` numbers, with the columns `columns`; `out` has `columns.len()` numbers for each
    /// row. Each number of `rows` is taken as the sum of two numbers of bfloat16, which leaves 16 of its 24 bits at least. Sums
    /// are f32.
    ///
    /// # Panics
    /// When the matrix is of another format than bfloat16, this CPU does not have the unit, there are no such columns, or rows
    /// are not whole.
    pub fn multiply(&self, unit: Bfloat16Unit, rows: &[f32], columns: Range<usize>, out: &mut [f32]) {
        let ([d_in, d_out], depth, width) = (self.shape(), self.depth(), columns.len());
        assert_eq!(self.format(), HalfFormat::Bf16, "the format that the unit multiplies");
        assert!(columns.start < columns.end && columns.end <= d_out, "{columns:?} of {d_out}");
        let n_rows = rows.len() / d_in;
        assert!(rows.len() == n_rows * d_in && out.len() == n_rows * width, "whole rows");
        let split = SplitRows::new(rows, d_in, depth);
        let session = unit.session();
        let mut scratch = [0.0; BLOCK * BLOCK];
        for first in (columns.start / SIDE..columns.end.div_ceil(SIDE)).step_by(2) {
            // An odd number of panels ends with one that is computed beside the panel before it.
            let start = first.min(self.n_panels() - 2) * SIDE;
            let panels = self.panels(start / SIDE);
            let part = columns.start.max(start)..columns.end.min(start + BLOCK);
            let blocks = split.high.chunks_exact(2 * depth).zip(split.low.chunks_exact(2 * depth));
            for ((high, low), out) in blocks.zip(out.chunks_mut(BLOCK * width)) {
                let factors = Factors { high, low, panels };
                let place = part.start - columns.start..part.end - columns.start;
                if part.len() == BLOCK && out.len() == BLOCK * width {
                    session.block(factors, &mut out[place.start..], width);
                    continue;
                }
                session.block(factors, &mut scratch, BLOCK);
                for (row, block) in out.chunks_exact_mut(width).zip(scratch.chunks_exact(BLOCK)) {
                    row[place.clone()].copy_from_slice(&block[part.start - start..part.end - start]);
                }
            }
        }
    }
}
