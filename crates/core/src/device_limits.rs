//! What a device can hold: [`DeviceLimits`].

use burn::tensor::Device;

/// The limits of a device.
///
/// ```
/// use burn::tensor::Device;
/// use stratigraph_core::DeviceLimits;
///
/// let limits = DeviceLimits::of(&Device::flex());
/// assert_eq!((limits.largest_buffer, limits.memory), (None, None)); // a CPU has what the machine has
/// assert_eq!(limits.largest_tensor(), 128 << 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DeviceLimits {
    /// Bytes of the largest buffer that the device grants; none where it is not known.
    pub largest_buffer: Option<usize>,
    /// Bytes of memory that the device has for this process; none where it is not known. WebGPU, and so Vulkan without
    /// burn's feature `vulkan`, does not report it.
    pub memory: Option<usize>,
}

impl DeviceLimits {
    /// The largest buffer that every graphics adapter grants.
    const LEAST: usize = 128 << 20;

    /// Larger tensors make nothing faster, and the places in them fit 31 bits.
    const MOST: usize = 1 << 30;

    /// These limits.
    pub fn new(largest_buffer: Option<usize>, memory: Option<usize>) -> Self {
        Self { largest_buffer, memory }
    }

    /// Those of a device, which is opened; of a CPU or of another machine's device none is known.
    pub fn of(device: &Device) -> Self {
        of_adapter(device).unwrap_or_default()
    }

    /// Bytes that one tensor may take: the largest buffer, clamped between 128 MiB (also the value for a device whose limit is not
    /// known) and 1 GiB.
    pub fn largest_tensor(self) -> usize {
        self.largest_buffer.unwrap_or(Self::LEAST).clamp(Self::LEAST, Self::MOST)
    }
}

#[cfg(feature = "wgpu")]
fn of_adapter(device: &Device) -> Option<DeviceLimits> {
    match device.as_dispatch() {
        burn_dispatch::DispatchDevice::Cube(cube) => {
            let client = cube.client();
            let memory = &client.properties().memory;
            let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            Some(DeviceLimits::new(Some(bytes(memory.max_page_size)), memory.max_memory().map(bytes)))
        }
        #[allow(unreachable_patterns)] // reached where other backends are built in
        _ => None,
    }
}

#[cfg(not(feature = "wgpu"))]
fn of_adapter(_device: &Device) -> Option<DeviceLimits> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_fits_the_largest_buffer() {
        let largest = |bytes| DeviceLimits::new(bytes, None).largest_tensor();
        assert_eq!(
            [None, Some(1), Some(300 << 20), Some(usize::MAX)].map(largest),
            [128 << 20, 128 << 20, 300 << 20, 1 << 30]
        );
    }

    #[test]
    fn every_adapter_grants_the_least_buffer() {
        for device in stratigraph_testing::devices() {
            let limits = DeviceLimits::of(&device.device);
            assert_eq!(limits.largest_buffer.is_none(), crate::is_host_device(&device.device), "{}", device.backend);
            assert!(limits.largest_buffer.is_none_or(|bytes| bytes >= 128 << 20), "{}: {limits:?}", device.backend);
        }
    }
}
