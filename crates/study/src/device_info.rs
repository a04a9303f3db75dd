//! What a device is, what it can hold, and what it computes in: [`DeviceInfo`].

use burn::tensor::{Device, FloatDType};
use serde::Serialize;
use stratigraph_core::{DeviceLimits, is_host_device};

use crate::{Backend, DeviceName, adapters};

/// A device, described.
///
/// ```
/// use stratigraph_study::{DeviceInfo, DeviceKind, DeviceName};
///
/// let flex: DeviceName = "flex".parse()?;
/// let info = DeviceInfo::of(&flex, &flex.open()?);
/// assert_eq!((info.kind, info.interface.as_str()), (DeviceKind::Processor, "flex"));
/// assert!(info.precisions.contains(&"f32".to_owned()));
/// # Ok::<(), stratigraph_study::StudyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The name that an adapter reports; for a CPU the number of threads of a run.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Its interface: the name of a CPU backend, or the graphics API of an adapter and the language of its kernels.
    pub interface: String,
    /// Bytes of the largest buffer that one binding of a kernel can have; none where memory alone limits it, or it is not known.
    pub largest_buffer: Option<usize>,
    /// Bytes of its own memory; none where it is not known.
    pub memory: Option<usize>,
    /// The floating-point types that it computes in.
    pub precisions: Vec<String>,
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DeviceKind {
    /// The processor, by a CPU backend.
    Processor,
    /// An adapter that a program emulates on the processor.
    Software,
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU of a virtual machine.
    Virtual,
    /// On another machine.
    Remote,
    /// A kind that the interface does not report.
    Other,
}

impl DeviceInfo {
    pub(crate) fn new(device: &Device, name: String, kind: DeviceKind, interface: String) -> Self {
        let DeviceLimits { largest_buffer, memory, .. } = DeviceLimits::of(device);
        let types = [(FloatDType::F32, "f32"), (FloatDType::F16, "f16"), (FloatDType::BF16, "bf16")];
        let computed = types.into_iter().filter(|(dtype, _)| device.supports_dtype(*dtype));
        let precisions = computed.map(|(_, name)| name.to_owned()).collect();
        Self { name, kind, interface, largest_buffer, memory, precisions }
    }

    /// Describes an open device of a name.
    pub fn of(name: &DeviceName, device: &Device) -> Self {
        if let Some(info) = adapters::info(device) {
            return info;
        }
        if is_host_device(device) {
            let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
            return Self::new(device, format!("{threads} threads"), DeviceKind::Processor, name.to_string());
        }
        Self::new(device, name.to_string(), DeviceKind::Remote, "remote".to_owned())
    }

    /// The devices of this build and this machine by name: those of CPU backends, every adapter, and every GPU of CUDA.
    pub fn names() -> Vec<DeviceName> {
        let cpu = [Backend::Flex, Backend::Ndarray].into_iter().filter(|backend| backend.is_built());
        let adapters = (0..adapters::all().len()).map(DeviceName::Adapter);
        let cuda = (0..).map(DeviceName::Cuda).take_while(|name| name.open().is_ok());
        cpu.map(DeviceName::Backend).chain(adapters).chain(cuda).collect()
    }
}
