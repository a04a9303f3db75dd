//! Products of a few rows, as in generation, which take the time of reading a matrix: [`products`] and [`by_columns`].
//!
//! A matrix is cut into parts by its shape alone, and each part is multiplied by one thread. So every number is summed up in
//! one order, whatever the number of threads.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::Tensor;

use super::host;

/// Up to this many rows a product takes the time of reading its matrix, and burn runs it on one thread.
const FEW_ROWS: usize = 8;
/// Numbers of a matrix that are worth a part of their own; they are read in ten times what a part costs beside.
const WORTH_A_PART: usize = 1 << 17;
/// Rows of a matrix that are worth a block of their own: the sum of all blocks is one more addition for each block.
const WORTH_A_BLOCK: usize = 64;
/// Parts of a matrix at most, which keep the threads of a large machine busy.
const MOST_PARTS: usize = 64;

/// Whether rows `[rows, width]` are so few, and in the host's memory.
pub(super) fn are_few(rows: &Tensor<2>) -> bool {
    let [n_rows, _] = rows.dims();
    n_rows <= FEW_ROWS && host::on_host(&rows.device())
}

/// The products of rows `[rows, d_in]` and matrices `[d_in, d_out]`. Each matrix is cut into blocks of its rows: a thread reads
/// memory from one end to the other, which takes less than half the time of reading some columns of each row.
pub(super) fn products<const N: usize>(rows: &Tensor<2>, matrices: [Tensor<2>; N]) -> [Tensor<2>; N] {
    let blocks: Vec<Block> = matrices.iter().flat_map(Block::all_of).collect();
    let mut parts = in_turn(blocks.len(), |index| blocks[index].product(rows)).into_iter();
    matrices.each_ref().map(|matrix| sum(parts.by_ref().take(Block::n_of(matrix))))
}

/// The sum of tensors, of which there is one at least, in their order.
fn sum(mut parts: impl Iterator<Item = Tensor<2>>) -> Tensor<2> {
    let first = parts.next().expect("a matrix has a block");
    let mut others = parts.map(host::floats).peekable();
    if others.peek().is_none() {
        return first;
    }
    let device = first.device();
    let mut sum = host::floats(first);
    let numbers: &mut [f32] = sum.as_mut_slice().expect("it was read as f32");
    for other in others {
        numbers.iter_mut().zip(host::slice(&other)).for_each(|(sum, x)| *sum += x);
    }
    Tensor::from_data(sum, &device)
}

/// Some consecutive rows of a matrix.
struct Block<'a> {
    matrix: &'a Tensor<2>,
    rows: Range<usize>,
}

impl<'a> Block<'a> {
    fn all_of(matrix: &'a Tensor<2>) -> impl Iterator<Item = Self> {
        let ([d_in, _], n_blocks) = (matrix.dims(), Self::n_of(matrix));
        (0..n_blocks).map(move |i| Self { matrix, rows: i * d_in / n_blocks..(i + 1) * d_in / n_blocks })
    }

    /// How many blocks a matrix is cut into.
    fn n_of(matrix: &Tensor<2>) -> usize {
        let [d_in, d_out] = matrix.dims();
        (d_in * d_out / WORTH_A_PART).min(d_in / WORTH_A_BLOCK).clamp(1, MOST_PARTS)
    }

    /// What it adds to the product of `rows` and the matrix.
    fn product(&self, rows: &Tensor<2>) -> Tensor<2> {
        let Range { start, end } = self.rows;
        rows.clone().narrow(1, start, end - start).matmul(self.matrix.clone().narrow(0, start, end - start))
    }
}

/// The product of rows `[rows, d_in]` and the transpose of a matrix `[d_out, d_in]`, some rows of the matrix at a time.
pub(super) fn by_columns(rows: &Tensor<2>, matrix: Tensor<2>) -> Tensor<2> {
    let [d_out, d_in] = matrix.dims();
    let n_parts = (d_in * d_out / WORTH_A_PART).clamp(1, MOST_PARTS).min(d_out);
    let part = |index: usize| {
        let (first, end) = (index * d_out / n_parts, (index + 1) * d_out / n_parts);
        rows.clone().matmul(matrix.clone().narrow(0, first, end - first).transpose())
    };
    let mut parts = in_turn(n_parts, part);
    if n_parts == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) }
}

/// Runs `n` tasks on this thread and those of the pool, each of which takes the next one that is left; the results by their
/// number.
fn in_turn<T: Send>(n: usize, task: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let n_threads = rayon::current_num_threads().min(n);
    if n_threads < 2 {
        return (0..n).map(task).collect();
    }
    let next = AtomicUsize::new(0);
    let take = || {
        let left = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < n);
        std::iter::from_fn(left).map(|index| (index, task(index))).collect::<Vec<_>>()
    };
    // This thread begins at once, where one of the pool would have to be woken first.
    let mut others: Vec<_> = (1..n_threads).map(|_| Vec::new()).collect();
    let mut results = rayon::in_place_scope(|scope| {
        for other in &mut others {
            scope.spawn(|_| *other = take());
        }
        take()
    });
    results.extend(others.into_iter().flatten());
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};
    use stratigraph_testing::{assert_each_close, host as values};

    use super::*;

    fn random(shape: [usize; 2]) -> Tensor<2> {
        Tensor::random(shape, Distribution::Default, &Device::flex())
    }

    #[test]
    fn parts_make_up_the_product() {
        for shape in [[300, 701], [64, 3000], [63, 3000], [1, 5], [2000, 40], [257, 1031]] {
            let matrices = [random(shape), random(shape)];
            for n_rows in [1, 2, FEW_ROWS] {
                let rows = random([n_rows, shape[0]]);
                let found = products(&rows, matrices.clone());
                for (found, matrix) in found.into_iter().zip(&matrices) {
                    let expected = values(rows.clone().matmul(matrix.clone()));
                    assert_each_close(&values(found), &expected, 1e-5, "blocks");
                    let transposed: Tensor<2> =
                        Tensor::from_data(matrix.clone().transpose().into_data(), &Device::flex());
                    assert_each_close(&values(by_columns(&rows, transposed)), &expected, 1e-5, "columns");
                }
            }
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let (matrix, transposed) = (random([517, 1031]), random([1031, 517]));
        assert!(Block::n_of(&matrix) > 3);
        for n_rows in [1, 3, FEW_ROWS] {
            let rows = random([n_rows, 517]);
            let on = |n_threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
                pool.install(|| {
                    let [product] = products(&rows, [matrix.clone()]);
                    [values(product), values(by_columns(&rows, transposed.clone()))]
                })
            };
            let expected = on(1);
            assert!([2, 3, 7].into_iter().all(|n_threads| on(n_threads) == expected));
        }
    }
}
