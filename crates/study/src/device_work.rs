//! Kernel launches and transfers of a run: [`DeviceWork`] counts them.

use burn::tensor::Device;
use serde::Serialize;
use stratigraph_core::transfers::Transfers;

/// Kernel launches and transfers of this process: work whose latency a GPU waits for, however fast it computes.
///
/// ```
/// use burn::tensor::Device;
/// use stratigraph_study::DeviceWork;
///
/// let (sum, work) = DeviceWork::of(&Device::flex(), || 1 + 1);
/// assert_eq!((sum, work), (2, DeviceWork::default())); // a CPU launches and moves nothing
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct DeviceWork {
    /// Kernels that burn's runtime launched, those of its autotuning included.
    pub launches: u64,
    /// Tensors that this workspace copied to a device.
    pub uploads: u64,
    /// Times that this workspace waited for a device and copied from it.
    pub read_backs: u64,
    /// Times that this workspace had queued operations sent at once.
    pub flushes: u64,
}

impl DeviceWork {
    /// Runs something, waits until `device` has finished, and counts the launches and transfers of the whole process meanwhile.
    ///
    /// # Panics
    /// When the device fails, and when `run` panics.
    pub fn of<T>(device: &Device, run: impl FnOnce() -> T) -> (T, Self) {
        let wait = || device.sync().expect("the device does what is queued");
        wait();
        let before = Transfers::so_far();
        let (result, launches) = launches::count(|| {
            let result = run();
            wait();
            result
        });
        let Transfers { uploads, read_backs, flushes, .. } = Transfers::so_far().since(before);
        (result, Self { launches, uploads, read_backs, flushes })
    }
}

#[cfg(feature = "wgpu-unfused")]
mod launches {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use cubecl_runtime::logging::{LaunchObservation, LaunchObserver};

    #[derive(Default)]
    struct Counter(AtomicU64);

    impl LaunchObserver for Counter {
        fn launched(&self, _kernel: &'static str) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn count<T>(run: impl FnOnce() -> T) -> (T, u64) {
        let counter = Arc::new(Counter::default());
        let observation = LaunchObservation::new(counter.clone());
        let result = run();
        drop(observation);
        (result, counter.0.load(Ordering::Relaxed))
    }
}

#[cfg(not(feature = "wgpu-unfused"))]
mod launches {
    pub(super) fn count<T>(run: impl FnOnce() -> T) -> (T, u64) {
        (run(), 0)
    }
}
