//! How a stored tensor differs from ours, and conversions in both directions: [`Layout`].
//!
//! Ours are matrices `[d_in, d_out]` and vectors `[d_out]`, one tensor for each parameter.

#[cfg(test)]
mod tests;

use std::ops::Range;

use rayon::prelude::*;

/// How a stored tensor differs from the layout of this crate: matrices `[d_in, d_out]`, vectors `[d_out]`, one tensor for each
/// parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layout {
    axes: Axes,
    outputs: Outputs,
    /// What is added to each stored number.
    plus: f32,
    /// Which part of the stored tensor it is.
    place: Place,
}

/// Which part of a stored tensor a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The whole of it, or a part that [`Outputs`] says.
    Whole,
    /// The `index`-th of `of` along an axis in front of the others.
    Slab { index: usize, of: usize },
    /// What comes after `n` rows that are not used.
    AfterRows { n: usize },
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
    /// Heads in rotary pairs: stored `2 i + half` of a head is our `half * d_rotary / 2 + i`; what follows stays. `d_rotary`
    /// is 0 where it is the whole head.
    RotaryPairs { n_heads: usize, d_rotary: usize },
    /// Ours are the `index`-th of `of` equal parts, one after the other.
    Part { index: usize, of: usize },
    /// As `Part`, but each head has its parts together.
    PartOfHead { index: usize, of: usize, n_heads: usize },
    /// Ours are cut out of each of `of` groups of `width` outputs, from `start` on.
    InGroups { of: usize, width: usize, start: usize },
    /// Ours are every `of`-th output from `index` on.
    EachNth { index: usize, of: usize },
}

/// Inputs and outputs that are rearranged together, so that both sides stay in cache.
const TILE: usize = 16;

impl Layout {
    /// As ours.
    pub const SAME: Self = Self { axes: Axes::InOut, outputs: Outputs::Same, plus: 0.0, place: Place::Whole };

    /// A matrix stored `[d_out, d_in]`; a vector as ours.
    pub const OUT_IN: Self = Self { axes: Axes::OutIn, ..Self::SAME };

    /// A gain stored as its difference from one.
    pub const MINUS_ONE: Self = Self { plus: 1.0, ..Self::SAME };

    /// With the rows of each head in rotary pairs: row `2 i + half` holds our `half * d_head / 2 + i`.
    pub fn rotary_pairs(self, n_heads: usize) -> Self {
        self.partial_rotary_pairs(n_heads, 0)
    }

    /// As [`rotary_pairs`](Self::rotary_pairs), of the first `d_rotary` rows of each head; the rest of the head stays.
    pub fn partial_rotary_pairs(self, n_heads: usize, d_rotary: usize) -> Self {
        Self { outputs: Outputs::RotaryPairs { n_heads, d_rotary }, ..self }
    }

    /// The `index`-th of `of` parts of a fused tensor that holds one whole part after the other.
    pub fn part(self, index: usize, of: usize) -> Self {
        Self { outputs: Outputs::Part { index, of }, ..self }
    }

    /// The `index`-th of `of` parts of a fused tensor that holds the parts of each head together.
    pub fn part_of_head(self, index: usize, of: usize, n_heads: usize) -> Self {
        Self { outputs: Outputs::PartOfHead { index, of, n_heads }, ..self }
    }

    /// Cut out of each of `of` groups of `width` outputs of a fused tensor, from `start` on.
    pub fn in_groups(self, of: usize, width: usize, start: usize) -> Self {
        Self { outputs: Outputs::InGroups { of, width, start }, ..self }
    }

    /// Every `of`-th output of a fused tensor, from `index` on.
    pub fn each_nth(self, index: usize, of: usize) -> Self {
        Self { outputs: Outputs::EachNth { index, of }, ..self }
    }

    /// The `index`-th of `of` along an axis of the stored tensor in front of the others.
    pub fn slab(self, index: usize, of: usize) -> Self {
        Self { place: Place::Slab { index, of }, ..self }
    }

    /// After `n` rows of the stored tensor that are not used.
    pub fn after_rows(self, n: usize) -> Self {
        Self { place: Place::AfterRows { n }, ..self }
    }

    /// The stored shape of a parameter of `shape`; `None` when no shape can be stored this way.
    pub(super) fn stored_shape(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let mut stored = self.part_shape(shape)?;
        match self.place {
            Place::Whole => {}
            Place::Slab { of, .. } => stored.insert(0, of),
            Place::AfterRows { n } => stored[0] = stored[0].checked_add(n)?,
        }
        Some(stored)
    }

    /// The shape of the part of the stored tensor that [`Place`] says.
    fn part_shape(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let (d_out, rest) = shape.split_last()?;
        let stored_out = match self.outputs {
            Outputs::Same | Outputs::RotaryPairs { .. } => *d_out,
            Outputs::Part { of, .. } | Outputs::PartOfHead { of, .. } | Outputs::EachNth { of, .. } => {
                d_out.checked_mul(of)?
            }
            Outputs::InGroups { of, width, .. } => of.checked_mul(width)?,
        };
        let mut stored: Vec<_> = rest.iter().copied().chain([stored_out]).collect();
        if self.axes == Axes::OutIn {
            stored.reverse();
        }
        Some(stored)
    }

    /// The elements of the stored tensor that a parameter of `shape` is made of.
    pub(super) fn elements(&self, shape: &[usize]) -> Range<usize> {
        let part = self.part_shape(shape).expect("the shape of a stored tensor");
        let n: usize = part.iter().product();
        let start = match self.place {
            Place::Whole => 0,
            Place::Slab { index, .. } => index * n,
            Place::AfterRows { n: rows } => rows * n / part[0],
        };
        start..start + n
    }

    /// Stored values, those of [`elements`](Self::elements), to ours; `shape` is ours: `[d_in, d_out]` or `[d_out]`.
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
        let stored = &mut stored[self.elements(shape)];
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
            Outputs::RotaryPairs { n_heads, d_rotary } => {
                let d_head = d_out / n_heads;
                let d_rotary = if d_rotary == 0 { d_head } else { d_rotary };
                let (head, within) = (out / d_head, out % d_head);
                if within >= d_rotary {
                    return out;
                }
                let (half, pair) = (within / (d_rotary / 2), within % (d_rotary / 2));
                head * d_head + 2 * pair + half
            }
            Outputs::Part { index, .. } => index * d_out + out,
            Outputs::PartOfHead { index, of, n_heads } => {
                let d_head = d_out / n_heads;
                let (head, within) = (out / d_head, out % d_head);
                (head * of + index) * d_head + within
            }
            Outputs::InGroups { of, width, start } => {
                let per_group = d_out / of;
                out / per_group * width + start + out % per_group
            }
            Outputs::EachNth { index, of } => out * of + index,
        }
    }
}

/// What a matrix `[d_in, d_out]` maps from and to; a vector `[d_out]` has one input.
fn inputs_and_outputs(shape: &[usize]) -> (usize, usize) {
    let d_out = shape[shape.len() - 1];
    (shape.iter().product::<usize>() / d_out, d_out)
}
