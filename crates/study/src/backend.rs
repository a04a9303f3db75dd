//! The choice of a device at run time: [`Backend`].

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

use crate::{DeviceError, Result, StudyError};

/// One of burn's backends.
///
/// ```
/// use stratigraph_study::Backend;
/// let device = "flex".parse::<Backend>()?.device()?;
/// # Ok::<(), stratigraph_study::StudyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// The fast CPU backend.
    Flex,
    /// The older CPU backend.
    Ndarray,
    /// GPUs by Vulkan, Metal or DirectX.
    Wgpu,
}

impl Backend {
    /// Every backend, whether or not it is part of this build.
    pub const ALL: [Backend; 3] = [Backend::Flex, Backend::Ndarray, Backend::Wgpu];

    fn name(self) -> &'static str {
        match self {
            Backend::Flex => "flex",
            Backend::Ndarray => "ndarray",
            Backend::Wgpu => "wgpu",
        }
    }

    /// Whether this build has it.
    pub fn is_built(self) -> bool {
        match self {
            Backend::Flex => cfg!(feature = "flex"),
            Backend::Ndarray => cfg!(feature = "ndarray"),
            Backend::Wgpu => cfg!(feature = "wgpu-unfused"),
        }
    }

    /// Its device; for wgpu the adapter that wgpu prefers.
    ///
    /// # Errors
    /// When this build does not have the backend, or the machine no adapter.
    pub fn device(self) -> Result<Device> {
        match self {
            #[cfg(feature = "flex")]
            Backend::Flex => Ok(Device::flex()),
            #[cfg(feature = "ndarray")]
            #[allow(deprecated)] // by burn in favour of flex; it stays supported here
            Backend::Ndarray => Ok(Device::ndarray()),
            #[cfg(feature = "wgpu-unfused")]
            Backend::Wgpu => wgpu_device(),
            #[allow(unreachable_patterns)] // reached when a feature is off
            backend => Err(DeviceError::BackendNotBuilt { backend }.into()),
        }
    }
}

/// The preferred adapter, opened once for the whole process.
#[cfg(feature = "wgpu-unfused")]
fn wgpu_device() -> Result<Device> {
    use std::sync::OnceLock;

    use burn::tensor::DeviceKind;
    use burn::tensor::wgpu::WgpuInitError;

    static OPENED: OnceLock<Result<Device, String>> = OnceLock::new();
    let open = || match Device::wgpu_options().init() {
        Ok(device) => Ok(device),
        // The program has already used it.
        Err(WgpuInitError::Registration { .. }) => Ok(Device::wgpu(DeviceKind::DefaultDevice)),
        Err(error) => Err(error.to_string()),
    };
    OPENED.get_or_init(open).clone().map_err(|reason| DeviceError::NoAdapter { reason }.into())
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backend {
    type Err = StudyError;

    fn from_str(name: &str) -> Result<Self> {
        let known = Backend::ALL.into_iter().find(|backend| backend.name() == name);
        known.ok_or_else(|| DeviceError::UnknownBackend { name: name.to_owned() }.into())
    }
}
