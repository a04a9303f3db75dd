//! Products of rows and a [`HalfMatrix`] on a [`Bfloat16Unit`].

use std::cell::RefCell;
use std::ops::Range;

use super::convert::round_row;
use super::unit::Session;
use super::{BLOCK, Bfloat16Unit, Factors, HalfFormat, HalfMatrix, Line, SIDE};

/// Bytes of rounded rows that are multiplied at once: a core's cache holds them while the matrix passes by.
const ROW_BYTES: usize = 512 << 10;

thread_local! {
    /// The memory of a thread's rows, which stays for its next product.
    static ROWS: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Takes rows of `d_in` numbers, rounded to bfloat16, in tiles of `depth` lines; the last block is filled up with zeros.
fn fill(lines: &mut Vec<Line>, rows: &[f32], d_in: usize, depth: usize) {
    let n_rows = (rows.len() / d_in).next_multiple_of(BLOCK);
    lines.resize(n_rows / SIDE * depth, Line::ZEROS);
    let zeros = vec![0.0; d_in];
    for index in 0..n_rows {
        let row = rows.get(index * d_in..(index + 1) * d_in).unwrap_or(&zeros);
        round_row(row, &mut lines[index / SIDE * depth + index % SIDE..(index / SIDE + 1) * depth]);
    }
}

impl HalfMatrix {
    /// The products of `rows`, each of `d_in` numbers, with the columns `columns`; `out` has `columns.len()` numbers for each
    /// row. The numbers of `rows` are rounded to bfloat16; sums are f32.
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
        let at_once = (ROW_BYTES / (size_of::<Line>() * depth) * SIDE / BLOCK * BLOCK).max(BLOCK);
        let session = unit.session();
        ROWS.with_borrow_mut(|lines| {
            for (rows, out) in rows.chunks(at_once * d_in).zip(out.chunks_mut(at_once * width)) {
                fill(lines, rows, d_in, depth);
                self.multiply_rounded(&session, lines, columns.clone(), out);
            }
        });
    }

    fn multiply_rounded(&self, session: &Session, lines: &[Line], columns: Range<usize>, out: &mut [f32]) {
        let (block_lines, width) = (2 * self.depth(), columns.len());
        let mut scratch = [0.0; BLOCK * BLOCK];
        for first in (columns.start / SIDE..columns.end.div_ceil(SIDE)).step_by(2) {
            // An odd number of panels ends with one that is computed beside the panel before it.
            let start = first.min(self.n_panels() - 2) * SIDE;
            let panels = self.panels(start / SIDE);
            let part = columns.start.max(start)..columns.end.min(start + BLOCK);
            for (rows, out) in lines.chunks_exact(block_lines).zip(out.chunks_mut(BLOCK * width)) {
                let factors = Factors { rows, panels };
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
