//! Reduces logits on their device by one kernel for each tile: [`KernelRows`].

mod backend;
mod row_sums;
#[cfg(test)]
mod tests;

use burn::backend::DispatchDevice;
use burn::tensor::{Device, FloatDType, Int, IntDType, Tensor};
use burn_cubecl::Cube;

use super::device_rows::DeviceRows;
use super::reduction::{Part, Reduce};
use backend::RowSumsBackend;

/// The kernel of [`row_sums`], whose sums stay on the device until a whole batch is read.
pub(crate) struct KernelRows;

/// Clean logits `[rows, tokens]`, and the sums of each row.
pub(crate) struct KernelClean {
    logits: Tensor<2>,
    sums: Tensor<2>,
}

/// Whether the kernel runs on a device: on those of CubeCL, which are graphics adapters and GPUs of CUDA or ROCm. Devices of
/// other machines, and tensors that keep gradients, take tensor operations.
pub(crate) fn runs_on(device: &Device) -> bool {
    matches!(device.as_dispatch(), DispatchDevice::Cube(_))
}

impl Reduce for KernelRows {
    type Clean = KernelClean;
    /// `[rows, 8]`, in the order of [`DeviceRows`].
    type Sums = Tensor<2>;
    /// `[rows, 1]`
    type Places = Tensor<2, Int>;

    const READ_TOGETHER: bool = true;

    fn places(indices: Vec<usize>, device: &Device) -> Tensor<2, Int> {
        DeviceRows::places(indices, device)
    }

    fn clean(logits: Tensor<2>, places: &Tensor<2, Int>) -> (KernelClean, Tensor<2>) {
        let sums = Self::reduce(logits.clone(), None, places);
        (KernelClean { logits, sums: sums.clone() }, sums)
    }

    fn reduce(logits: Tensor<2>, clean: Option<&KernelClean>, places: &Tensor<2, Int>) -> Tensor<2> {
        let floats = |tensor: Tensor<2>| {
            let tensor = tensor.cast(FloatDType::F32).try_into_primitive::<Cube>();
            tensor.expect("the logits of a CubeCL device lie on it")
        };
        let places = places.clone().cast(IntDType::I32).try_into_primitive::<Cube>();
        let places = places.expect("the places of a CubeCL device lie on it");
        let clean = clean.map(|clean| [&clean.logits, &clean.sums].map(|tensor| floats(tensor.clone())));
        Tensor::from_primitive::<Cube>(Cube::row_sums(floats(logits), clean, places))
    }

    fn read(sums: Vec<Tensor<2>>) -> Vec<Vec<Part>> {
        DeviceRows::read(sums)
    }
}
