//! Products of rows and a [`HalfMatrix`] on a [`Bfloat16Unit`].

use std::cell::RefCell;
use std::ops::Range;

use super::convert::split_row;
use super::unit::Session;
use super::{BLOCK, Bfloat16Unit, Factors, HalfFormat, HalfMatrix, Line, SIDE};

/// Bytes of split rows that are multiplied at once: a core's cache holds them while the matrix passes by.
const ROW_BYTES: usize = 512 << 10;

thread_local! {
    /// The memory of a thread's rows, which stays for its next product.
    static ROWS: RefCell<SplitRows> = const { RefCell::new(SplitRows { high: Vec::new(), low: Vec::new() }) };
}

/// Rows as pairs of numbers of bfloat16.
struct SplitRows {
    high: Vec<Line>,
    low: Vec<Line>,
}

impl SplitRows {
    /// Takes rows of `d_in` numbers, in tiles of `depth` lines; the last block is filled up with zeros.
    fn fill(&mut self, rows: &[f32], d_in: usize, depth: usize) {
        let n_rows = (rows.len() / d_in).next_multiple_of(BLOCK);
        let Self { high, low } = self;
        for lines in [&mut *high, &mut *low] {
            lines.resize(n_rows / SIDE * depth, Line::ZEROS);
        }
        let zeros = vec![0.0; d_in];
        for index in 0..n_rows {
            let (first, end) = (index / SIDE * depth + index % SIDE, (index / SIDE + 1) * depth);
            let (high, low) = (&mut high[first..end], &mut low[first..end]);
            match rows.get(index * d_in..(index + 1) * d_in) {
                Some(row) => split_row(row, high, low),
                None => split_row(&zeros, high, low),
            }
        }
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
        let at_once = (ROW_BYTES / (2 * size_of::<Line>() * depth) * SIDE / BLOCK * BLOCK).max(BLOCK);
        let session = unit.session();
        ROWS.with_borrow_mut(|split| {
            for (rows, out) in rows.chunks(at_once * d_in).zip(out.chunks_mut(at_once * width)) {
                split.fill(rows, d_in, depth);
                self.multiply_split(&session, split, columns.clone(), out);
            }
        });
    }

    fn multiply_split(&self, session: &Session, split: &SplitRows, columns: Range<usize>, out: &mut [f32]) {
        let (block_lines, width) = (2 * self.depth(), columns.len());
        let mut scratch = [0.0; BLOCK * BLOCK];
        for first in (columns.start / SIDE..columns.end.div_ceil(SIDE)).step_by(2) {
            // An odd number of panels ends with one that is computed beside the panel before it.
            let start = first.min(self.n_panels() - 2) * SIDE;
            let panels = self.panels(start / SIDE);
            let part = columns.start.max(start)..columns.end.min(start + BLOCK);
            let blocks = split.high.chunks_exact(block_lines).zip(split.low.chunks_exact(block_lines));
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
