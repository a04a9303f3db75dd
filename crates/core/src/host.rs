//! Where a device's tensors lie: [`lies_in_host_memory`].

use burn::tensor::Device;

/// Whether tensors of `device` lie in the host's memory, so that reading one as plain numbers moves nothing: flex and
/// ndarray, where this crate is built with their features.
#[allow(unused_variables, deprecated)] // without backends nothing is compared; burn deprecates ndarray in favour of flex
pub fn lies_in_host_memory(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    if *device == Device::flex() {
        return true;
    }
    #[cfg(feature = "ndarray")]
    if *device == Device::ndarray() {
        return true;
    }
    false
}
