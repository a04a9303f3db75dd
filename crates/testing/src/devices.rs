//! Devices that tests run on: [`devices`], [`device`], and what a test says when it cannot run, [`skipped`].

use std::io::Write;

use burn::tensor::Device;
use stratigraph_study::Backend;

/// A backend and its device.
#[derive(Debug, Clone)]
pub struct TestDevice {
    /// The backend.
    pub backend: Backend,
    /// Its device.
    pub device: Device,
}

/// Every backend of this build that the machine can run; says which are skipped and why.
///
/// # Panics
/// When there is none, or wgpu cannot run though `STRATIGRAPH_REQUIRE_WGPU` is set.
pub fn devices() -> Vec<TestDevice> {
    let open = |backend: Backend| match backend.device() {
        Ok(device) => Some(TestDevice { backend, device }),
        Err(reason) => {
            let required = backend == Backend::Wgpu && std::env::var_os("STRATIGRAPH_REQUIRE_WGPU").is_some();
            assert!(!required, "{reason}");
            skipped(&format!("{backend}: {reason}"));
            None
        }
    };
    let devices: Vec<_> = Backend::ALL.into_iter().filter_map(open).collect();
    assert!(!devices.is_empty(), "no backend at all");
    devices
}

/// A fast device for tests that are not about backends.
///
/// # Panics
/// Never: this crate is built with flex.
pub fn device() -> Device {
    Backend::Flex.device().expect("this crate is built with flex")
}

/// Says that a test did not run, past the test runner, which hides what a passing test prints.
pub fn skipped(reason: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}
