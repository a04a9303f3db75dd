//! Where a device's tensors are: [`is_host_device`].

use burn::tensor::Device;

/// Whether tensors of `device` are in the host's memory, so that reading one as plain numbers moves nothing: flex and
/// ndarray, where this crate is built with their features.
#[allow(unused_variables, deprecated)] // without backends nothing is compared; burn deprecates ndarray in favour of flex
pub fn is_host_device(device: &Device) -> bool {
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
