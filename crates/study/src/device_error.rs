//! What can go wrong with a device: [`DeviceError`].

use stratigraph_core::shown;

use crate::Backend;

/// A device that is not known, cannot be opened, or computes wrong numbers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// A name that is not a backend's.
    #[error("unknown backend `{}`; known: flex, ndarray, wgpu", shown(name))]
    UnknownBackend {
        /// The name as it was given.
        name: String,
    },
    /// A text that does not name a device.
    #[error(
        "unknown device `{}`; write flex, ndarray, wgpu, wgpu:N, vulkan, metal, cuda, cuda:N, remote:ws://HOST:PORT or \
         remote:ID",
        shown(name)
    )]
    UnknownDevice {
        /// The name as it was given.
        name: String,
    },
    /// A backend that was left out when the program was built.
    #[error("the backend {backend} is not part of this build; build with `--features {backend}`")]
    BackendNotBuilt {
        /// The backend that was asked for.
        backend: Backend,
    },
    /// A graphics adapter that is absent or cannot be opened.
    #[error("cannot open a graphics adapter for wgpu: {reason}")]
    NoAdapter {
        /// The reason.
        reason: String,
    },
    /// A GPU of CUDA that is absent, or CUDA was left out when the program was built.
    #[error(
        "cannot open GPU {index} of CUDA: {reason}; CUDA needs a build with burn's feature `cuda` (docs/devices.md)"
    )]
    NoCuda {
        /// The index of the GPU.
        index: usize,
        /// The reason.
        reason: String,
    },
    /// A device whose block or whose sums differ from those of flex, or are NaN.
    #[error("the device computes other numbers than flex: {reason}")]
    WrongNumbers {
        /// What differs, and by how much.
        reason: String,
    },
    /// A device that gave no result: a kernel did not compile, or the device ran out of memory or was lost.
    #[error("the device failed: {reason}")]
    Failed {
        /// The message of the device, its driver or burn.
        reason: String,
    },
    /// Remote devices were left out when the program was built.
    #[error("remote devices are not part of this build; build with `--features remote`")]
    RemoteNotBuilt,
    /// A remote device that cannot be connected to.
    #[error("cannot use the remote device {}: {reason}", shown(server))]
    RemoteUnreachable {
        /// The server as it was given.
        server: String,
        /// The reason.
        reason: String,
    },
    /// A remote device that was lost while it was in use.
    #[error("lost a remote device: {reason}")]
    RemoteLost {
        /// burn's message.
        reason: String,
    },
}
