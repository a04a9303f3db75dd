//! A checkpoint as a source of parameters: [`CheckpointParams`] finds, checks and rearranges stored tensors.

use std::collections::BTreeSet;

use super::{Layout, Recipe, Stored};
use crate::checkpoint::Checkpoint;
use crate::param::{Param, ParamSource};
use crate::{ModelError, Result};

/// Reads the parameters of a recipe's decoder from a checkpoint and remembers which tensors it used.
pub(crate) struct CheckpointParams<'a> {
    checkpoint: &'a dyn Checkpoint,
    recipe: &'a Recipe,
    used: BTreeSet<String>,
}

impl<'a> CheckpointParams<'a> {
    pub(crate) fn new(checkpoint: &'a dyn Checkpoint, recipe: &'a Recipe) -> Self {
        Self { checkpoint, recipe, used: BTreeSet::new() }
    }

    /// Refuses a checkpoint that holds tensors which were neither read nor known to be without effect.
    pub(crate) fn finish(self) -> Result<()> {
        let left_over =
            |name: &String| !self.used.contains(name) && !(self.recipe.ignorable)(&self.recipe.config, name);
        let names: Vec<_> = self.checkpoint.names().into_iter().filter(left_over).collect();
        if names.is_empty() { Ok(()) } else { Err(ModelError::LeftoverTensors { names }) }
    }
}

impl ParamSource for CheckpointParams<'_> {
    fn values(&mut self, param: Param, shape: &[usize]) -> Result<Vec<f32>> {
        let Stored { name, layout } = (self.recipe.locate)(&self.recipe.config, param);
        let found = self.checkpoint.shape(&name).ok_or_else(|| ModelError::MissingTensor { name: name.clone() })?;
        let expected: Vec<usize> = match layout {
            Layout::Same => shape.to_vec(),
            Layout::OutIn | Layout::RotaryPairs { .. } => shape.iter().rev().copied().collect(),
        };
        if found != expected {
            return Err(ModelError::WrongShape { name, expected, found });
        }
        let values = self.checkpoint.read(&name)?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(ModelError::NotFinite { name, value: values[index], index });
        }
        self.used.insert(name);
        Ok(rearrange(values, shape, layout))
    }
}

/// Stored values to our layout; `shape` is ours: `[d_in, d_out]` or `[d_out]`.
fn rearrange(values: Vec<f32>, shape: &[usize], layout: Layout) -> Vec<f32> {
    let d_out = shape[shape.len() - 1];
    let d_in = values.len() / d_out;
    match layout {
        Layout::Same => values,
        Layout::OutIn => transpose(&values, d_in, d_out, |out| out),
        Layout::RotaryPairs { n_heads } => {
            let d_head = d_out / n_heads;
            let stored = |out: usize| {
                let (head, within) = (out / d_head, out % d_head);
                let (half, pair) = (within / (d_head / 2), within % (d_head / 2));
                head * d_head + 2 * pair + half
            };
            transpose(&values, d_in, d_out, stored)
        }
    }
}

/// Stored rows `[d_out, d_in]` to columns of `[d_in, d_out]`, column `out` from the row `stored(out)`.
fn transpose(values: &[f32], d_in: usize, d_out: usize, stored: impl Fn(usize) -> usize) -> Vec<f32> {
    /// Columns written together, so that both sides stay in cache.
    const TILE: usize = 16;
    let mut ours = vec![0.0; values.len()];
    for first in (0..d_out).step_by(TILE) {
        for out in first..(first + TILE).min(d_out) {
            let row = stored(out) * d_in;
            for i in 0..d_in {
                ours[i * d_out + out] = values[row + i];
            }
        }
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotary_pairs_become_halves() {
        // Two heads of four rows; the stored row 2 i + half is ours at half * 2 + i.
        let stored: Vec<f32> = (0..8).map(|row| row as f32).collect();
        let ours = rearrange(stored, &[8], Layout::RotaryPairs { n_heads: 2 });
        assert_eq!(ours, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }

    #[test]
    fn out_in_is_transposed() {
        let stored: Vec<f32> = (0..6).map(|i| i as f32).collect(); // [d_out = 2, d_in = 3]
        assert_eq!(rearrange(stored, &[3, 2], Layout::OutIn), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }
}
