//! Tensors as plain memory, where a CPU backend keeps them there: [`on_host`], [`edit`], [`edit_by`].

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use stratigraph_core::is_host_device;

/// Numbers that one task takes.
const CHUNK: usize = 1 << 15;

/// Whether tensors of a device may be worked on as plain memory: they are in the host's memory and need no gradient.
pub(super) fn on_host(device: &Device) -> bool {
    is_host_device(device) && !device.is_autodiff()
}

/// A tensor's numbers in row-major order, without a copy if the memory is not shared.
pub(super) fn floats<const D: usize>(x: Tensor<D>) -> TensorData {
    x.into_data_as::<f32>()
}

pub(super) fn slice(data: &TensorData) -> &[f32] {
    data.as_slice().expect("it was read as f32")
}

/// Edits a tensor's numbers in one pass, in chunks of whole rows of `width` numbers.
pub(super) fn edit<const D: usize>(x: Tensor<D>, width: usize, kernel: impl Fn(&mut [f32]) + Send + Sync) -> Tensor<D> {
    let device = x.device();
    let mut x = floats(x);
    for_chunks(x.as_mut_slice().expect("it was read as f32"), rows(width), |_, chunk| kernel(chunk));
    Tensor::from_data(x, &device)
}

/// Edits a tensor's numbers by those of another of its shape.
pub(super) fn edit_by<const D: usize>(
    x: Tensor<D>,
    by: Tensor<D>,
    kernel: impl Fn(&mut [f32], &[f32]) + Send + Sync,
) -> Tensor<D> {
    let device = x.device();
    let (mut x, by) = (floats(x), floats(by));
    let by = slice(&by);
    for_chunks(x.as_mut_slice().expect("it was read as f32"), CHUNK, |index, chunk| {
        kernel(chunk, &by[index * CHUNK..index * CHUNK + chunk.len()]);
    });
    Tensor::from_data(x, &device)
}

/// Works on each chunk of `width` numbers, which it is given with its index; on this thread alone if there is so little to do
/// that handing it to others takes longer.
pub(super) fn for_chunks(numbers: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Send + Sync) {
    if numbers.len() <= CHUNK {
        numbers.chunks_mut(width).enumerate().for_each(|(index, chunk)| work(index, chunk));
    } else {
        numbers.par_chunks_mut(width).enumerate().for_each(|(index, chunk)| work(index, chunk));
    }
}

/// The numbers of about a chunk, in whole rows.
fn rows(width: usize) -> usize {
    (CHUNK / width).max(1) * width
}
