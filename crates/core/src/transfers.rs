//! Transfers between the host and devices: [`upload`], [`read`] and [`flush`] count it, [`Transfers`] has the counts.
//!
//! Models, readouts and the executor of this workspace move data by these functions wherever a block, a tile of logits or a batch
//! of windows does. What burn moves by itself, such as the arguments of a kernel, is not counted.

use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::{Device, Int, Tensor, TensorData, Transaction};

use crate::is_host_device;

static UPLOADS: AtomicU64 = AtomicU64::new(0);
static READ_BACKS: AtomicU64 = AtomicU64::new(0);
static FLUSHES: AtomicU64 = AtomicU64::new(0);

/// How many transfers there were; those of flex and ndarray, which move nothing, do not count.
///
/// ```
/// use burn::tensor::{Device, TensorData};
/// use stratigraph_core::transfers::{self, Transfers};
///
/// let before = Transfers::so_far();
/// let x = transfers::upload::<1>(TensorData::from([1.0f32, 2.0]), &Device::flex());
/// assert_eq!(transfers::read(x).try_into_vec_as::<f32>().unwrap(), [1.0, 2.0]);
/// assert_eq!(Transfers::so_far().since(before), Transfers::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Transfers {
    /// Tensors that were copied to a device.
    pub uploads: u64,
    /// Times that the host waited for a device and copied from it; tensors that are read together count once.
    pub read_backs: u64,
    /// Times that queued operations were sent to a device at once.
    pub flushes: u64,
}

impl Transfers {
    /// Those of this process until now.
    pub fn so_far() -> Self {
        let [uploads, read_backs, flushes] = [&UPLOADS, &READ_BACKS, &FLUSHES].map(|n| n.load(Ordering::Relaxed));
        Self { uploads, read_backs, flushes }
    }

    /// Those since an earlier time.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            uploads: self.uploads - earlier.uploads,
            read_backs: self.read_backs - earlier.read_backs,
            flushes: self.flushes - earlier.flushes,
        }
    }
}

fn count(counter: &AtomicU64, device: &Device) {
    if !is_host_device(device) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Copies numbers to a device.
pub fn upload<const D: usize>(data: TensorData, device: &Device) -> Tensor<D> {
    count(&UPLOADS, device);
    Tensor::from_data(data, device)
}

/// Copies whole numbers to a device.
pub fn upload_ints<const D: usize>(data: TensorData, device: &Device) -> Tensor<D, Int> {
    count(&UPLOADS, device);
    Tensor::from_data(data, device)
}

/// Waits for a tensor and copies its numbers to the host.
pub fn read<const D: usize>(tensor: Tensor<D>) -> TensorData {
    count(&READ_BACKS, &tensor.device());
    tensor.into_data()
}

/// Waits once for all of these tensors, which are on one device, and copies their numbers to the host.
pub fn read_together<const D: usize>(tensors: Vec<Tensor<D>>) -> Vec<TensorData> {
    let Some(first) = tensors.first() else { return Vec::new() };
    count(&READ_BACKS, &first.device());
    tensors.into_iter().fold(Transaction::default(), Transaction::register).execute()
}

/// Sends queued operations to a device, without waiting for it.
///
/// # Panics
/// When the device takes no more work.
pub fn flush(device: &Device) {
    count(&FLUSHES, device);
    device.flush().expect("the device takes work");
}
