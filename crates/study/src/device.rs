//! Devices by name, of this machine and of others: [`DeviceName`].

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::str::FromStr;

use burn::tensor::Device;

use crate::{Backend, DeviceError, Result, StudyError, adapters};

/// A device as a user writes it.
///
/// | text | device |
/// |---|---|
/// | `flex`, `ndarray`, `wgpu` | the default one of a [`Backend`] |
/// | `wgpu:1` | the second graphics adapter that wgpu lists |
/// | `vulkan`, `metal` | the preferred adapter on that graphics API alone |
/// | `cuda`, `cuda:1` | the first and the second GPU of CUDA, in a build with burn's feature `cuda` |
/// | `remote:ws://HOST:PORT` | one that another machine serves over WebSocket |
/// | `remote:ID` | one that is served over iroh, found by the server's identity through the public relays |
/// | `remote:ID@IP:PORT` | the same, dialled directly |
///
/// A remote server may serve several devices: `#1` at the end is its second. Remote devices need the feature `remote`.
///
/// ```
/// use stratigraph_study::DeviceName;
///
/// let device = "flex".parse::<DeviceName>()?.open()?;
/// # Ok::<(), stratigraph_study::StudyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceName {
    /// The default device of a backend.
    Backend(Backend),
    /// A graphics adapter of this machine, by its index in wgpu's list.
    Adapter(usize),
    /// The preferred adapter on one graphics API. With burn's feature of the same name its kernels are compiled to the API's own
    /// language, and can use tensor cores.
    Api(GraphicsApi),
    /// A GPU of CUDA, by its index; it needs burn's feature `cuda`.
    Cuda(usize),
    /// A device of another machine.
    Remote {
        /// Where its server is: the URL of a WebSocket, or an iroh identity, with an address or a relay after `@`.
        server: String,
        /// Which of the server's devices.
        index: usize,
    },
}

/// A graphics API that wgpu can be restricted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GraphicsApi {
    /// On Linux and Windows.
    Vulkan,
    /// On macOS.
    Metal,
}

impl DeviceName {
    /// The environment variable with the token that a remote server asks for. It is not an argument, because other
    /// users of a machine can read command lines.
    pub const TOKEN: &str = "STRATIGRAPH_TOKEN";

    /// Opens it; a remote one is connected, with the token of [`DeviceName::TOKEN`].
    ///
    /// # Errors
    /// When this build or this machine does not have it, the server cannot be reached, or it refuses the token.
    pub fn open(&self) -> Result<Device> {
        match self {
            DeviceName::Backend(backend) => backend.device(),
            DeviceName::Adapter(index) => adapters::at(*index),
            DeviceName::Api(api) => adapters::on_api(*api),
            DeviceName::Cuda(index) => adapters::cuda(*index),
            DeviceName::Remote { server, index } => remote(server, *index),
        }
    }
}

/// Runs something that uses remote devices: burn panics when a connection breaks, and here that becomes an error. Any
/// other panic propagates.
///
/// # Errors
/// Those of `run`, and [`DeviceError::RemoteLost`] where a remote device is lost.
///
/// # Panics
/// When `run` panics for any other reason.
pub fn guard_remote<T, E: From<StudyError>>(run: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| match lost_remote(&*panic) {
        Some(reason) => Err(StudyError::from(DeviceError::RemoteLost { reason }).into()),
        None => resume_unwind(panic),
    })
}

/// Texts in the panics of burn-remote 0.22.1 when a session cannot be opened or breaks.
const LOST: [&str; 6] = [
    "Failed to open a remote session",
    "Service call failed",
    "Failed to read tensor: RecvError",
    "Remote response channel closed",
    "Remote service has not connected",
    "the handshake reports the device count",
];

/// The line of a panic that says how burn's remote backend failed; none for other panics.
fn lost_remote(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied())?;
    let line = text.lines().find(|line| LOST.iter().any(|lost| line.contains(lost)))?;
    Some(line.trim().to_owned())
}

#[cfg(feature = "remote")]
fn remote(server: &str, index: usize) -> Result<Device> {
    use burn::remote::{EndpointId, IrohHost, IrohRelays, RemoteHost};

    let unreachable = |reason: String| DeviceError::RemoteUnreachable { server: server.to_owned(), reason };
    let host = if server.starts_with("ws://") || server.starts_with("wss://") {
        RemoteHost::websocket(server)
    } else {
        let (id, place) = server.split_once('@').map_or((server, None), |(id, place)| (id, Some(place)));
        let id: EndpointId = id.parse().map_err(|error| unreachable(format!("`{id}` is not an identity: {error}")))?;
        let host = IrohHost::new(id);
        RemoteHost::iroh(match place.map(|place| (place, place.parse())) {
            None => host,
            Some((_, Ok(address))) => host.with_address(address).with_relays(IrohRelays::Disabled),
            Some((relay, Err(_))) => host.with_relays(
                relay.parse().map_err(|error: burn::remote::InvalidRelays| unreachable(error.to_string()))?,
            ),
        })
    };
    let host = match std::env::var(DeviceName::TOKEN) {
        Ok(token) => host.with_credential(token.as_str()),
        Err(_) => host,
    };
    Ok(Device::remote_options(&host).device_index(index).init().map_err(|error| unreachable(error.to_string()))?)
}

#[cfg(not(feature = "remote"))]
fn remote(_server: &str, _index: usize) -> Result<Device> {
    Err(DeviceError::RemoteNotBuilt.into())
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceName::Backend(backend) => write!(f, "{backend}"),
            DeviceName::Adapter(index) => write!(f, "{}:{index}", Backend::Wgpu),
            DeviceName::Api(GraphicsApi::Vulkan) => f.write_str("vulkan"),
            DeviceName::Api(GraphicsApi::Metal) => f.write_str("metal"),
            DeviceName::Cuda(0) => f.write_str("cuda"),
            DeviceName::Cuda(index) => write!(f, "cuda:{index}"),
            DeviceName::Remote { server, index: 0 } => write!(f, "remote:{server}"),
            DeviceName::Remote { server, index } => write!(f, "remote:{server}#{index}"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = StudyError;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || StudyError::from(DeviceError::UnknownDevice { name: name.to_owned() });
        match name.split_once(':') {
            None if name == "vulkan" => Ok(DeviceName::Api(GraphicsApi::Vulkan)),
            None if name == "metal" => Ok(DeviceName::Api(GraphicsApi::Metal)),
            None if name == "cuda" => Ok(DeviceName::Cuda(0)),
            None => name.parse().map(DeviceName::Backend).map_err(|_| unknown()),
            Some(("cuda", index)) => index.parse().map(DeviceName::Cuda).map_err(|_| unknown()),
            Some(("wgpu", index)) => index.parse().map(DeviceName::Adapter).map_err(|_| unknown()),
            Some(("remote", server)) if !server.is_empty() => {
                let (server, index) = server.rsplit_once('#').unwrap_or((server, "0"));
                let index = index.parse().map_err(|_| unknown())?;
                Ok(DeviceName::Remote { server: server.to_owned(), index })
            }
            Some(_) => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_device_is_an_error() {
        let texts = [
            ("Service call failed: CallError\nbacktrace", "Service call failed: CallError"),
            (
                "Failed to open a remote session at ws://gpu: refused",
                "Failed to open a remote session at ws://gpu: refused",
            ),
            ("cannot read\nCaused by:\n  Failed to read tensor: RecvError(())", "Failed to read tensor: RecvError(())"),
        ];
        for (text, line) in texts {
            let lost = guard_remote(|| -> Result<()> { panic!("{text}") });
            assert!(matches!(lost, Err(StudyError::Device(DeviceError::RemoteLost { reason })) if reason == line));
        }
        assert_eq!(guard_remote(|| Ok::<_, StudyError>(7)).unwrap(), 7);
        let other = guard_remote(|| Err::<(), StudyError>(DeviceError::RemoteNotBuilt.into()));
        assert!(matches!(other, Err(StudyError::Device(DeviceError::RemoteNotBuilt))));
    }

    #[test]
    fn any_other_panic_goes_on() {
        let ours = catch_unwind(|| guard_remote(|| -> Result<()> { panic!("index out of bounds") }));
        assert_eq!(*ours.unwrap_err().downcast::<&str>().unwrap(), "index out of bounds");
        let other = catch_unwind(|| guard_remote(|| -> Result<()> { std::panic::panic_any(7) }));
        assert_eq!(*other.unwrap_err().downcast::<i32>().unwrap(), 7);
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [
            "flex",
            "ndarray",
            "wgpu",
            "wgpu:2",
            "vulkan",
            "metal",
            "cuda",
            "cuda:1",
            "remote:ws://gpu:3000",
            "remote:ws://gpu:3000#1",
            "remote:0ab1",
        ] {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
        }
        for name in ["", "opengl", "wgpu:", "wgpu:x", "vulkan:1", "cuda:x", "flex:0", "remote:", "remote:ws://gpu#x"] {
            assert!(name.parse::<DeviceName>().is_err(), "{name}");
        }
    }
}
