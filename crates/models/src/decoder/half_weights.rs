//! Weights in 16 bit, and products with them: [`HalfWeights`].

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use half::{bf16, f16};
use rayon::prelude::*;
use stratigraph_core::Precision;
use stratigraph_kernels::{Bfloat16Unit, HalfFormat, HalfMatrix};

use super::host;

/// Numbers of a matrix that are unpacked at once.
const UNPACKED: usize = 1 << 20;
/// Rows that a unit computes at once.
const BLOCK: usize = 32;
/// Products of two numbers that are worth a thread.
const WORTH_A_THREAD: usize = 1 << 20;

/// A matrix `[d_in, d_out]` in 16 bit, which clones share. It belongs to a device whose tensors are in the host's memory.
#[derive(Debug, Clone)]
pub(super) struct HalfWeights {
    held: Arc<HalfMatrix>,
    device: Device,
}

impl HalfWeights {
    pub(super) fn new(matrix: HalfMatrix, device: &Device) -> Self {
        Self { held: Arc::new(matrix), device: device.clone() }
    }

    /// The format of a precision; none for f32.
    pub(super) fn format(precision: Precision) -> Option<HalfFormat> {
        match precision {
            Precision::Bf16 => Some(HalfFormat::Bf16),
            Precision::F16 => Some(HalfFormat::F16),
            _ => None,
        }
    }

    /// `[d_in, d_out]`
    pub(super) fn dims(&self) -> [usize; 2] {
        self.held.shape()
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.held.n_bytes()
    }

    /// The device of the model.
    pub(super) fn device(&self) -> Device {
        self.device.clone()
    }

    /// All of it as f32.
    pub(super) fn matrix(&self) -> Tensor<2> {
        let [_, d_out] = self.dims();
        self.columns(0..d_out, &self.device)
    }

    /// Some columns as f32, `[d_in, columns.len()]`.
    fn columns(&self, columns: Range<usize>, device: &Device) -> Tensor<2> {
        let ([d_in, _], width) = (self.dims(), columns.len());
        let mut numbers = vec![0.0; d_in * width];
        let n_rows = (UNPACKED / 16 / width).max(1).next_multiple_of(2);
        host::for_chunks(&mut numbers, n_rows * width, |index, rows| {
            self.held.unpack_rows(index * n_rows, columns.clone(), rows);
        });
        Tensor::from_data(TensorData::new(numbers, [d_in, width]), device)
    }

    /// One column after the other, as f32.
    pub(super) fn column_values(&self, columns: impl Iterator<Item = usize>) -> Vec<f32> {
        self.held.columns(columns)
    }

    /// The product of rows `[rows, d_in]` and some columns, `[rows, columns.len()]`. The rows of bfloat16's matrices are rounded
    /// to it, and multiplied on the CPU's unit where it has one, elsewhere in f32 with columns that are unpacked for it; so are
    /// those of other formats, and rows of which gradients are wanted, as they are.
    pub(super) fn product(&self, rows: Tensor<2>, columns: Range<usize>) -> Tensor<2> {
        let suits = self.held.format() == HalfFormat::Bf16 && host::on_host(&rows.device());
        match Bfloat16Unit::fastest().filter(|_| suits) {
            Some(unit) => self.on_unit(unit, rows, columns),
            // The numbers are then the same on every CPU.
            None if suits => self.in_f32(host::edit(rows, self.dims()[0], |row| HalfFormat::Bf16.round(row)), columns),
            None => self.in_f32(rows, columns),
        }
    }

    fn in_f32(&self, rows: Tensor<2>, columns: Range<usize>) -> Tensor<2> {
        let ([d_in, _], device) = (self.dims(), rows.device());
        let width = (UNPACKED / d_in).max(1);
        let part = |start: usize| {
            let part = start..(start + width).min(columns.end);
            rows.clone().matmul(self.columns(part, &device))
        };
        let mut parts: Vec<_> = columns.clone().step_by(width).map(part).collect();
        if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) }
    }

    fn on_unit(&self, unit: Bfloat16Unit, rows: Tensor<2>, columns: Range<usize>) -> Tensor<2> {
        let ([n_rows, d_in], device, width) = (rows.dims(), rows.device(), columns.len());
        let rows = host::floats(rows);
        let (rows, mut out) = (host::slice(&rows), vec![0.0; n_rows * width]);
        let n_threads = rayon::current_num_threads().min(n_rows * d_in * width / WORTH_A_THREAD).max(1);
        if n_rows.div_ceil(BLOCK) < n_threads {
            // A part of the columns on each thread.
            let part_width = width.div_ceil(n_threads).next_multiple_of(BLOCK);
            let parts: Vec<_> = columns.clone().step_by(part_width).collect();
            let product = |start: usize| {
                let part = start..(start + part_width).min(columns.end);
                let mut product = vec![0.0; n_rows * part.len()];
                self.held.multiply(unit, rows, part, &mut product);
                product
            };
            let products: Vec<_> = parts.into_par_iter().map(product).collect();
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                for (product, out) in products.iter().zip(out.chunks_mut(part_width)) {
                    out.copy_from_slice(&product[row * out.len()..][..out.len()]);
                }
            }
        } else {
            let n = n_rows.div_ceil(n_threads).next_multiple_of(BLOCK);
            let task = |(index, out): (usize, &mut [f32])| {
                let rows = &rows[index * n * d_in..][..out.len() / width * d_in];
                self.held.multiply(unit, rows, columns.clone(), out);
            };
            out.par_chunks_mut(n * width).enumerate().for_each(task);
        }
        Tensor::from_data(TensorData::new(out, [n_rows, width]), &device)
    }
}

/// The first weight that a precision of 16 bit cannot hold.
pub(super) fn too_large(precision: Precision, weights: &[f32]) -> Option<f32> {
    let holds = |x: f32| match precision {
        Precision::F16 => f16::from_f32(x).is_finite(),
        _ => bf16::from_f32(x).is_finite(),
    };
    weights.iter().copied().find(|&x| !holds(x))
}

#[cfg(test)]
mod tests {
    use stratigraph_testing::{assert_each_close, host as values};

    use super::*;

    fn weights([d_in, d_out]: [usize; 2], format: HalfFormat) -> HalfWeights {
        let mut matrix = HalfMatrix::zeros([d_in, d_out], format);
        matrix.set_rows(0, &(0..d_in * d_out).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>());
        HalfWeights::new(matrix, &Device::flex())
    }

    fn rows(n: usize, width: usize, device: &Device) -> Tensor<2> {
        let values = (0..n * width).map(|i| (i as f32 * 0.3).cos() * 2.0).collect::<Vec<_>>();
        Tensor::from_data(TensorData::new(values, [n, width]), device)
    }

    #[test]
    fn every_way_gives_the_product_of_what_is_held() {
        let device = Device::flex();
        for format in [HalfFormat::Bf16, HalfFormat::F16] {
            for (n_rows, shape) in [(1, [300, 1500]), (5, [64, 40]), (33, [2100, 513]), (257, [96, 130])] {
                let (weights, rows) = (weights(shape, format), rows(n_rows, shape[0], &device));
                let held = weights.columns(0..shape[1], &device);
                for columns in [0..shape[1], 7..shape[1] / 2, shape[1] - 3..shape[1]] {
                    let expected =
                        |rows: Tensor<2>| values(rows.matmul(held.clone().narrow(1, columns.start, columns.len())));
                    let entering = match format {
                        HalfFormat::Bf16 => host::edit(rows.clone(), shape[0], |row| format.round(row)),
                        HalfFormat::F16 => rows.clone(),
                    };
                    let found = weights.product(rows.clone(), columns.clone());
                    assert_each_close(&values(found), &expected(entering), 1e-4, "a product");
                    for found in [
                        weights.in_f32(rows.clone(), columns.clone()),
                        weights.product(rows.clone().autodiff(), columns.clone()).inner(),
                    ] {
                        assert_each_close(
                            &values(found),
                            &expected(rows.clone()),
                            1e-4,
                            "a product of rows as they are",
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn columns_are_found_by_number() {
        let weights = weights([33, 70], HalfFormat::F16);
        let all = values(weights.columns(0..70, &Device::flex()));
        let expected: Vec<f32> =
            [69, 0, 5].iter().flat_map(|&j| (0..33).map(move |i| i * 70 + j)).map(|at| all[at]).collect();
        assert_eq!(weights.column_values([69, 0, 5].into_iter()), expected);
    }
}
