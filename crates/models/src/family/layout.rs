//! How a stored tensor differs from ours, and conversions in both directions: [`Layout`].
//!
//! Ours are matrices `[d_in, d_out]` and vectors `[d_out]`, one tensor for each parameter.

use rayon::prelude::*;

/// How a stored tensor differs from our layout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Layout {
    axes: Axes,
    outputs: Outputs,
    /// What is added to each stored number.
    plus: f32,
}

/// The order of a stored matrix's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axes {
    InOut,
    OutIn,
}

/// Which stored output holds which of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outputs {
    /// The same one.
    Same,
    /// Heads in rotary pairs: stored `2 i + half` of a head is our `half * d_head / 2 + i`.
    RotaryPairs { n_heads: usize },
    /// Ours are the `index`-th of `of` equal parts, one after the other.
    Part { index: usize, of: usize },
    /// As `Part`, but each head has its parts together.
    PartOfHead { index: usize, of: usize, n_heads: usize },
}

/// Inputs and outputs that are rearranged together, so that both sides stay in cache.
const TILE: usize = 16;

impl Layout {
    /// As ours.
    pub(crate) const SAME: Self = Self { axes: Axes::InOut, outputs: Outputs::Same, plus: 0.0 };

    /// A matrix stored `[d_out, d_in]`; a vector as ours.
    pub(crate) const OUT_IN: Self = Self { axes: Axes::OutIn, ..Self::SAME };

    /// A gain stored as its difference from one.
    pub(crate) const MINUS_ONE: Self = Self { plus: 1.0, ..Self::SAME };

    /// With the rows of each head in rotary pairs: row `2 i + half` holds our `half * d_head / 2 + i`.
    pub(crate) fn rotary_pairs(self, n_heads: usize) -> Self {
        Self { outputs: Outputs::RotaryPairs { n_heads }, ..self }
    }

    /// The `index`-th of `of` parts of a fused tensor that holds one whole part after the other.
    pub(crate) fn part(self, index: usize, of: usize) -> Self {
        Self { outputs: Outputs::Part { index, of }, ..self }
    }

    /// The `index`-th of `of` parts of a fused tensor that holds the parts of each head together.
    pub(crate) fn part_of_head(self, index: usize, of: usize, n_heads: usize) -> Self {
        Self { outputs: Outputs::PartOfHead { index, of, n_heads }, ..self }
    }

    /// The stored shape of a parameter of `shape`; `None` when no shape can be stored this way.
    pub(super) fn stored_shape(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let (d_out, rest) = shape.split_last()?;
        let fused = match self.outputs {
            Outputs::Same | Outputs::RotaryPairs { .. } => 1,
            Outputs::Part { of, .. } | Outputs::PartOfHead { of, .. } => of,
        };
        let mut stored: Vec<_> = rest.iter().copied().chain([d_out.checked_mul(fused)?]).collect();
        if self.axes == Axes::OutIn {
            stored.reverse();
        }
        Some(stored)
    }

    /// Stored values to ours; `shape` is ours: `[d_in, d_out]` or `[d_out]`.
    pub(super) fn undo(&self, mut values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
        if self.plus != 0.0 {
            values.iter_mut().for_each(|value| *value += self.plus);
        }
        if self.outputs == Outputs::Same && (self.axes == Axes::InOut || shape.len() == 1) {
            return values;
        }
        let (d_in, d_out) = inputs_and_outputs(shape);
        let (next_input, next_output) = self.strides(d_in, values.len());
        let mut ours = vec![0.0; d_in * d_out];
        ours.par_chunks_mut(TILE * d_out).enumerate().for_each(|(tile, ours)| {
            let inputs = tile * TILE..tile * TILE + ours.len() / d_out;
            for first in (0..d_out).step_by(TILE) {
                for out in first..(first + TILE).min(d_out) {
                    let start = self.stored_output(out, d_out) * next_output;
                    for i in inputs.clone() {
                        ours[(i - inputs.start) * d_out + out] = values[start + i * next_input];
                    }
                }
            }
        });
        ours
    }

    /// Puts our values of `shape` where they belong among those of the stored tensor, of which they may be a part.
    pub(super) fn put(&self, ours: &[f32], shape: &[usize], stored: &mut [f32]) {
        let (d_in, d_out) = inputs_and_outputs(shape);
        let (next_input, next_output) = self.strides(d_in, stored.len());
        for out in 0..d_out {
            let start = self.stored_output(out, d_out) * next_output;
            for i in 0..d_in {
                stored[start + i * next_input] = ours[i * d_out + out] - self.plus;
            }
        }
    }

    /// How far it is, in a stored tensor of `len` values, from one input to the next and from one output to the next.
    fn strides(&self, d_in: usize, len: usize) -> (usize, usize) {
        match self.axes {
            Axes::OutIn => (1, d_in),
            Axes::InOut => (len / d_in, 1),
        }
    }

    /// Which stored output holds our output `out` of `d_out`.
    fn stored_output(&self, out: usize, d_out: usize) -> usize {
        match self.outputs {
            Outputs::Same => out,
            Outputs::RotaryPairs { n_heads } => {
                let d_head = d_out / n_heads;
                let (head, within) = (out / d_head, out % d_head);
                let (half, pair) = (within / (d_head / 2), within % (d_head / 2));
                head * d_head + 2 * pair + half
            }
            Outputs::Part { index, .. } => index * d_out + out,
            Outputs::PartOfHead { index, of, n_heads } => {
                let d_head = d_out / n_heads;
                let (head, within) = (out / d_head, out % d_head);
                (head * of + index) * d_head + within
            }
        }
    }
}

/// What a matrix `[d_in, d_out]` maps from and to; a vector `[d_out]` has one input.
fn inputs_and_outputs(shape: &[usize]) -> (usize, usize) {
    let d_out = shape[shape.len() - 1];
    (shape.iter().product::<usize>() / d_out, d_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(n: usize) -> Vec<f32> {
        (0..n).map(|i| i as f32).collect()
    }

    #[test]
    fn rotary_pairs_become_halves() {
        // Two heads of four rows; the stored row 2 i + half is ours at half * 2 + i.
        let ours = Layout::OUT_IN.rotary_pairs(2).undo(count(8), &[8]);
        assert_eq!(ours, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }

    #[test]
    fn out_in_is_transposed() {
        assert_eq!(Layout::OUT_IN.undo(count(6), &[3, 2]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]); // stored [2, 3]
        assert_eq!(Layout::OUT_IN.stored_shape(&[3, 2]), Some(vec![2, 3]));
    }

    #[test]
    fn parts_are_cut_out_of_fused_tensors() {
        // [d_in = 2, 3 * 2]: columns 2 and 3 are the second part.
        let second = Layout::SAME.part(1, 3);
        assert_eq!(second.stored_shape(&[2, 2]), Some(vec![2, 6]));
        assert_eq!(second.undo(count(12), &[2, 2]), [2.0, 3.0, 8.0, 9.0]);
        assert_eq!(second.undo(count(6), &[2]), [2.0, 3.0]);
        // [3 * 2, d_in = 2]: the same part as rows.
        assert_eq!(Layout::OUT_IN.part(1, 3).undo(count(12), &[2, 2]), [4.0, 6.0, 5.0, 7.0]);
        // Two heads of two outputs, each with its three parts together.
        assert_eq!(Layout::OUT_IN.part_of_head(2, 3, 2).undo(count(12), &[4]), [4.0, 5.0, 10.0, 11.0]);
    }

    #[test]
    fn what_is_put_is_what_was_undone() {
        let parts = [Layout::SAME.part(0, 2), Layout::SAME.part(1, 2)];
        let heads = [0, 1].map(|index| Layout::OUT_IN.part_of_head(index, 2, 3));
        let whole = [Layout::SAME, Layout::OUT_IN, Layout::OUT_IN.rotary_pairs(3), Layout::MINUS_ONE];
        let whole = whole.iter().map(std::slice::from_ref);
        for layouts in whole.chain([&parts[..], &heads[..]]) {
            for shape in [&[5, 12][..], &[12]] {
                let stored = count(layouts.len() * shape.iter().product::<usize>());
                let mut put = vec![f32::NAN; stored.len()];
                for layout in layouts {
                    layout.put(&layout.undo(stored.clone(), shape), shape, &mut put);
                }
                assert_eq!(put, stored, "{layouts:?} {shape:?}");
            }
        }
    }

    #[test]
    fn what_is_stored_minus_one_gets_it_back() {
        assert_eq!(Layout::MINUS_ONE.undo(vec![-0.5, 0.0], &[2]), [0.5, 1.0]);
    }
}
