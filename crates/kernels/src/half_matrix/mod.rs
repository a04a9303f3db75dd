//! Matrices of weights in 16 bit, and products with them: [`HalfMatrix`], [`Bfloat16Unit`].

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod convert;
mod matrix;
mod product;
#[cfg(test)]
mod tests;
mod unit;

pub use convert::HalfFormat;
pub use matrix::HalfMatrix;
pub use unit::Bfloat16Unit;

/// 16-bit numbers of a cache line.
const LINE: usize = 32;
/// Columns of a panel, and rows of a tile.
const SIDE: usize = 16;
/// Rows and columns of a block, which is computed at once.
const BLOCK: usize = 2 * SIDE;

/// A cache line of 16-bit numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
struct Line([u16; LINE]);

impl Line {
    const ZEROS: Line = Line([0; LINE]);
}

/// The operands of a block of 32 rows and 32 columns. Both have the same number of lines.
#[derive(Clone, Copy)]
struct Factors<'a> {
    /// Two tiles of rows. A tile has, for each 32 inputs, a line for each of its 16 rows.
    rows: &'a [Line],
    /// Two panels of columns, as [`HalfMatrix`] has them.
    panels: &'a [Line],
}

impl Factors<'_> {
    /// How many times 32 inputs there are.
    ///
    /// # Panics
    /// When the parts do not fit each other, or a block whose rows are `width` numbers apart does not fit `out`.
    fn n_steps(&self, out: &[f32], width: usize) -> usize {
        let n_lines = self.panels.len();
        assert!(n_lines.is_multiple_of(BLOCK) && self.rows.len() == n_lines, "whole tiles");
        assert!(width >= BLOCK && out.len() >= (BLOCK - 1) * width + BLOCK, "room for a block");
        n_lines / BLOCK
    }
}
