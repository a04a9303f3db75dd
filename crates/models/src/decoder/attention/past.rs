//! Keys and values of earlier positions: [`KeyValues`], which one slot of a run keeps.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use stratigraph_core::{CoreError, Result, transfers};

/// Positions by which room grows at least.
const ROOM: usize = 64;

/// The keys of a slot, normed and rotated, and its values.
#[derive(Debug, Default)]
pub(in super::super) struct KeyValues {
    len: usize,
    /// `[batch, n_kv_heads, capacity, d_head]` each, of which the first `len` positions are filled.
    stored: Option<Pair>,
}

/// Keys and values `[batch, n_kv_heads, pos, d_head]`.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Tensor<4>,
    pub(super) value: Tensor<4>,
}

/// What a slot has kept, and where its new positions begin.
pub(in super::super) struct Past<'a> {
    pub(in super::super) first: usize,
    pub(in super::super) kept: &'a mut KeyValues,
}

impl Past<'_> {
    /// Keeps new keys and values, and returns them after those of all earlier positions.
    pub(super) fn followed_by(self, layer: usize, new: Pair) -> Result<Pair> {
        let Past { first, kept } = self;
        if kept.len != first {
            return Err(CoreError::PositionsSkipped { layer, n_kept: kept.len, first });
        }
        Ok(kept.extend(new))
    }
}

impl KeyValues {
    /// Keeps these windows of the batch, in this order.
    pub(in super::super) fn keep_windows(&mut self, windows: &[usize]) {
        self.stored = self.stored.take().map(|stored| stored.select(windows));
    }

    fn extend(&mut self, new: Pair) -> Pair {
        let [_, _, n_new, _] = new.key.dims();
        let (old, len) = (self.len, self.len + n_new);
        // The tensors are taken out, so that they are written to in place where no other owner is left.
        let stored = self.stored.take().map(|stored| stored.with_room_for(len, old));
        let Pair { key, value } = stored.unwrap_or_else(|| new.empty(len.next_multiple_of(ROOM)));
        let stored = Pair { key: put(key, old..len, new.key.clone()), value: put(value, old..len, new.value.clone()) };
        let all = if old == 0 { new } else { stored.narrow(0..len) };
        (self.len, self.stored) = (len, Some(stored));
        all
    }
}

impl Pair {
    /// Some of the positions; a view.
    pub(super) fn narrow(&self, positions: Range<usize>) -> Self {
        let narrow = |x: &Tensor<4>| x.clone().narrow(2, positions.start, positions.len());
        Self { key: narrow(&self.key), value: narrow(&self.value) }
    }

    /// Some of the windows.
    fn select(self, windows: &[usize]) -> Self {
        let indices: Vec<i32> = windows.iter().map(|&window| window as i32).collect();
        let indices = transfers::upload_ints::<1>(TensorData::new(indices, [windows.len()]), &self.key.device());
        Self { key: self.key.select(0, indices.clone()), value: self.value.select(0, indices) }
    }

    /// Room for as many positions as needed; the first `filled` are kept. Room doubles, so that few copies are made.
    fn with_room_for(self, len: usize, filled: usize) -> Self {
        let [_, _, capacity, _] = self.key.dims();
        if len <= capacity {
            return self;
        }
        let Self { key, value } = self.empty(len.next_multiple_of(ROOM).max(2 * capacity));
        let old = self.narrow(0..filled);
        Self { key: put(key, 0..filled, old.key), value: put(value, 0..filled, old.value) }
    }

    /// Zeros of another number of positions.
    fn empty(&self, capacity: usize) -> Self {
        let zeros = |x: &Tensor<4>| {
            let [batch, heads, _, d_head] = x.dims();
            Tensor::zeros([batch, heads, capacity, d_head], &x.device())
        };
        Self { key: zeros(&self.key), value: zeros(&self.value) }
    }
}

fn put(room: Tensor<4>, positions: Range<usize>, new: Tensor<4>) -> Tensor<4> {
    let [batch, heads, _, d_head] = room.dims();
    room.slice_assign([0..batch, 0..heads, positions, 0..d_head], new)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn numbers(first: usize, n: usize) -> Tensor<4> {
        let device = Device::flex();
        let values: Vec<f32> = (first..first + n).flat_map(|pos| [pos as f32, pos as f32 + 0.5]).collect();
        Tensor::<1>::from_floats(values.as_slice(), &device).reshape([1, 1, n, 2]).repeat_dim(1, 3)
    }

    #[test]
    fn parts_together_are_the_whole() {
        let mut kept = KeyValues::default();
        let mut first = 0;
        for n in [5, 1, 58, 1, 200, 1, 1] {
            let new = Pair { key: numbers(first, n), value: numbers(first, n) * 2.0 };
            let all = Past { first, kept: &mut kept }.followed_by(0, new).unwrap();
            first += n;
            all.key.into_data().assert_eq(&numbers(0, first).into_data(), true);
            all.value.into_data().assert_eq(&(numbers(0, first) * 2.0).into_data(), true);
        }
        let gap = Past { first: first + 1, kept: &mut kept };
        let new = Pair { key: numbers(0, 1), value: numbers(0, 1) };
        let error = gap.followed_by(3, new).unwrap_err();
        assert_eq!(error, CoreError::PositionsSkipped { layer: 3, n_kept: 267, first: 268 });
    }

    #[test]
    fn windows_that_are_kept_go_on() {
        let mut kept = KeyValues::default();
        kept.keep_windows(&[1]); // nothing is kept yet
        let both = |n: usize| Tensor::cat(vec![numbers(0, n), numbers(100, n)], 0);
        Past { first: 0, kept: &mut kept }.followed_by(0, Pair { key: both(3), value: both(3) * 2.0 }).unwrap();
        kept.keep_windows(&[1]);
        let new = Pair { key: numbers(103, 1), value: numbers(103, 1) * 2.0 };
        let all = Past { first: 3, kept: &mut kept }.followed_by(0, new).unwrap();
        all.key.into_data().assert_eq(&numbers(100, 4).into_data(), true);
        all.value.into_data().assert_eq(&(numbers(100, 4) * 2.0).into_data(), true);
    }
}
