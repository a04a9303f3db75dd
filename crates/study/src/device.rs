//! Devices by name, of this machine and of others: [`DeviceName`].

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use burn::tensor::Device;

use crate::{Backend, Error, Result};

/// A device as a user writes it.
///
/// | text | device |
/// |---|---|
/// | `flex`, `ndarray`, `wgpu` | the usual one of a [`Backend`] |
/// | `wgpu:1` | the second graphics adapter that wgpu lists |
/// | `remote:ws://HOST:PORT` | one that another machine serves over WebSocket |
/// | `remote:ID` | one that is served over iroh, found by the server's identity through the public relays |
/// | `remote:ID@IP:PORT` | the same, dialled directly |
///
/// A remote server may serve several devices: `#1` at the end is its second. Remote devices need the feature `remote`.
///
/// ```
/// use stratigraph::DeviceName;
///
/// let device = "flex".parse::<DeviceName>()?.open()?;
/// # Ok::<(), stratigraph::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DeviceName {
    /// The usual device of a backend.
    Backend(Backend),
    /// A graphics adapter of this machine, by its place in the list that wgpu gives.
    Adapter(usize),
    /// A device of another machine.
    Remote {
        /// Where its server is: the URL of a WebSocket, or an iroh identity, with an address or a relay after `@`.
        server: String,
        /// Which of the server's devices.
        index: usize,
    },
}

impl DeviceName {
    /// The environment variable that holds the token which a remote server asks for. A command line could be read by others.
    pub const TOKEN: &str = "STRATIGRAPH_TOKEN";

    /// Opens it; a remote one is connected, with the token of [`DeviceName::TOKEN`].
    ///
    /// # Errors
    /// When this build or this machine does not have it, the server cannot be reached, or it refuses the token.
    pub fn open(&self) -> Result<Device> {
        match self {
            DeviceName::Backend(backend) => backend.device(),
            DeviceName::Adapter(index) => adapter(*index),
            DeviceName::Remote { server, index } => remote(server, *index),
        }
    }
}

/// Runs what uses remote devices: burn tells by a panic that a connection broke, and here that is an error. Any other panic
/// becomes one too, so nothing else should be run in it.
///
/// # Errors
/// What `run` gives, and [`Error::RemoteLost`] where it panics.
pub fn guard_remote<T, E: From<Error>>(run: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let reason = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
        Err(Error::RemoteLost { reason: reason.lines().next().unwrap_or_default().to_owned() }.into())
    })
}

#[cfg(feature = "wgpu-unfused")]
fn adapter(index: usize) -> Result<Device> {
    let adapters = Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec();
    let n = adapters.len();
    let reason = || format!("there is no adapter {index}; wgpu lists {n}, counted from 0");
    adapters.into_iter().nth(index).ok_or_else(|| Error::NoAdapter { reason: reason() })
}

#[cfg(not(feature = "wgpu-unfused"))]
fn adapter(_index: usize) -> Result<Device> {
    Err(Error::BackendNotBuilt { backend: Backend::Wgpu })
}

#[cfg(feature = "remote")]
fn remote(server: &str, index: usize) -> Result<Device> {
    use burn::remote::{EndpointId, IrohHost, IrohRelays, RemoteHost};

    let unreachable = |reason: String| Error::RemoteUnreachable { server: server.to_owned(), reason };
    let host = if server.starts_with("ws://") || server.starts_with("wss://") {
        RemoteHost::websocket(server)
    } else {
        let (id, place) = server.split_once('@').map_or((server, None), |(id, place)| (id, Some(place)));
        let id: EndpointId = id.parse().map_err(|error| unreachable(format!("`{id}` is no identity: {error}")))?;
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
    Device::remote_options(&host).device_index(index).init().map_err(|error| unreachable(error.to_string()))
}

#[cfg(not(feature = "remote"))]
fn remote(_server: &str, _index: usize) -> Result<Device> {
    Err(Error::RemoteNotBuilt)
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceName::Backend(backend) => write!(f, "{backend}"),
            DeviceName::Adapter(index) => write!(f, "{}:{index}", Backend::Wgpu),
            DeviceName::Remote { server, index: 0 } => write!(f, "remote:{server}"),
            DeviceName::Remote { server, index } => write!(f, "remote:{server}#{index}"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || Error::UnknownDevice { name: name.to_owned() };
        match name.split_once(':') {
            None => Ok(DeviceName::Backend(name.parse()?)),
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
    fn a_panic_is_an_error_where_it_is_guarded() {
        let lost = guard_remote(|| -> Result<()> { panic!("{} closed\nthe connection", "server") });
        assert!(matches!(lost, Err(Error::RemoteLost { reason }) if reason == "server closed"));
        assert_eq!(guard_remote(|| Ok::<_, Error>(7)).unwrap(), 7);
        assert!(matches!(guard_remote(|| Err::<(), _>(Error::RemoteNotBuilt)), Err(Error::RemoteNotBuilt)));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in
            ["flex", "ndarray", "wgpu", "wgpu:2", "remote:ws://gpu:3000", "remote:ws://gpu:3000#1", "remote:0ab1"]
        {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
        }
        for name in ["", "cuda", "wgpu:", "wgpu:x", "flex:0", "remote:", "remote:ws://gpu#x"] {
            assert!(name.parse::<DeviceName>().is_err(), "{name}");
        }
    }
}
