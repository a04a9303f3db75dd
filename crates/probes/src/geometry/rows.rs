//! Numbers of each row of a residual stream: [`cosine`], [`norm`].

use burn::tensor::Tensor;

use crate::statistics::PerSequence;

/// The cosine of each row of `a` with the same row of `b`: `[batch, pos, d_model]` twice to `[batch, pos]`. It is NaN where a row
/// is zero, which has no direction.
pub fn cosine(a: Tensor<3>, b: Tensor<3>) -> Tensor<2> {
    let dot = (a.clone() * b.clone()).sum_dim(2).squeeze_dim::<2>(2);
    dot / (norm(a) * norm(b))
}

/// The length of each row: `[batch, pos, d_model]` to `[batch, pos]`.
pub fn norm(x: Tensor<3>) -> Tensor<2> {
    x.square().sum_dim(2).sqrt().squeeze_dim::<2>(2)
}

/// Adds the numbers `[batch, pos]` of every position from `skip_first` on to the windows from `first` on, at `index`.
pub(super) fn push_positions(
    into: &mut Vec<PerSequence>,
    index: usize,
    values: Tensor<2>,
    first: usize,
    skip_first: usize,
) {
    let numbers = numbers_at(into, index);
    by_window(values, first, skip_first).for_each(|(window, value)| numbers.push(window, value));
}

/// The numbers `[batch, pos]` of every position from `skip_first` on, each with its window; the first window is `first`.
pub(super) fn by_window(values: Tensor<2>, first: usize, skip_first: usize) -> impl Iterator<Item = (usize, f64)> {
    let [_, pos] = values.dims();
    let values: Vec<f32> = values.try_into_vec_as().expect("any float");
    let counted = values.into_iter().enumerate().filter(move |(row, _)| row % pos >= skip_first);
    counted.map(move |(row, value)| (first + row / pos, f64::from(value)))
}

/// The numbers at `index`, which are made on first use.
pub(super) fn numbers_at(all: &mut Vec<PerSequence>, index: usize) -> &mut PerSequence {
    if all.len() <= index {
        all.resize_with(index + 1, PerSequence::default);
    }
    &mut all[index]
}
