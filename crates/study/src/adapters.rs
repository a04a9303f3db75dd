//! Graphics adapters and GPUs behind burn's `Device`: opened by index or API, and what they are.
#![cfg_attr(not(feature = "wgpu-unfused"), allow(unused_variables))]

use burn::tensor::Device;

use crate::device::GraphicsApi;
use crate::{Backend, DeviceError, DeviceInfo, Result};

/// All adapters that wgpu lists, in its order; none are opened.
#[cfg(feature = "wgpu-unfused")]
pub(crate) fn all() -> Vec<Device> {
    Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec()
}

/// As above: this build has no wgpu.
#[cfg(not(feature = "wgpu-unfused"))]
pub(crate) fn all() -> Vec<Device> {
    Vec::new()
}

/// The adapter with an index.
pub(crate) fn at(index: usize) -> Result<Device> {
    if !Backend::Wgpu.is_built() {
        return Err(DeviceError::BackendNotBuilt { backend: Backend::Wgpu }.into());
    }
    let adapters = all();
    let n = adapters.len();
    let reason = || format!("there is no adapter {index}; wgpu lists {n}, counted from 0");
    adapters.into_iter().nth(index).ok_or_else(|| DeviceError::NoAdapter { reason: reason() }.into())
}

/// The preferred adapter on one API.
#[cfg(feature = "wgpu-unfused")]
pub(crate) fn on_api(api: GraphicsApi) -> Result<Device> {
    use burn_dispatch::devices::{CubeDevice, WgpuDeviceKind};

    let device = match api {
        GraphicsApi::Vulkan => CubeDevice::vulkan(WgpuDeviceKind::DefaultDevice),
        GraphicsApi::Metal => CubeDevice::metal_msl(WgpuDeviceKind::DefaultDevice),
    };
    device
        .map(Device::new)
        .map_err(|_| DeviceError::NoAdapter { reason: format!("this machine has none on {api:?}") }.into())
}

/// As above: this build has no wgpu.
#[cfg(not(feature = "wgpu-unfused"))]
pub(crate) fn on_api(api: GraphicsApi) -> Result<Device> {
    Err(DeviceError::BackendNotBuilt { backend: Backend::Wgpu }.into())
}

/// A GPU of CUDA.
#[cfg(feature = "wgpu-unfused")]
pub(crate) fn cuda(index: usize) -> Result<Device> {
    burn_dispatch::devices::CubeDevice::cuda(index)
        .map(Device::new)
        .map_err(|reason| DeviceError::NoCuda { index, reason: reason.to_string() }.into())
}

/// As above: this build has no wgpu.
#[cfg(not(feature = "wgpu-unfused"))]
pub(crate) fn cuda(index: usize) -> Result<Device> {
    Err(DeviceError::NoCuda { index, reason: "this build runs on the CPU alone".to_owned() }.into())
}

/// What a GPU or an adapter is; none for other devices. It is opened.
#[cfg(feature = "wgpu-unfused")]
pub(crate) fn info(device: &Device) -> Option<DeviceInfo> {
    use burn_dispatch::DispatchDevice;
    use burn_dispatch::devices::CubeDevice;

    let cube = match device.as_dispatch() {
        DispatchDevice::Cube(cube) => cube,
        #[allow(unreachable_patterns)] // reached where other backends are built in
        _ => return None,
    };
    let client = cube.client();
    let name = client.properties().identity.name.clone();
    let kind = match cube {
        CubeDevice::Wgpu(adapter) => kind_of(adapter, &name),
        CubeDevice::Cpu(_) => crate::DeviceKind::Processor,
        _ => crate::DeviceKind::Discrete,
    };
    let api = match cube {
        CubeDevice::Wgpu(adapter) => api_of(adapter).map(|api| format!("{api} by {}", client.name())),
        _ => None,
    };
    let interface = api.unwrap_or_else(|| client.name().to_owned());
    Some(DeviceInfo::new(device, name, kind, interface))
}

/// As above: this build has no wgpu.
#[cfg(not(feature = "wgpu-unfused"))]
pub(crate) fn info(device: &Device) -> Option<DeviceInfo> {
    None
}

/// The kind of an adapter; that of the preferred one is the kind of the listed adapter with its name.
#[cfg(feature = "wgpu-unfused")]
fn kind_of(adapter: &burn_dispatch::devices::WgpuDevice, name: &str) -> crate::DeviceKind {
    use burn_dispatch::DispatchDevice;
    use burn_dispatch::devices::{CubeDevice, WgpuDeviceKind};

    use crate::DeviceKind;

    match adapter.kind {
        WgpuDeviceKind::DiscreteGpu(_) => DeviceKind::Discrete,
        WgpuDeviceKind::IntegratedGpu(_) => DeviceKind::Integrated,
        WgpuDeviceKind::VirtualGpu(_) => DeviceKind::Virtual,
        WgpuDeviceKind::Cpu => DeviceKind::Software,
        WgpuDeviceKind::DefaultDevice => {
            let listed = all().into_iter().find_map(|device| match device.as_dispatch() {
                DispatchDevice::Cube(cube @ CubeDevice::Wgpu(listed))
                    if listed.kind != WgpuDeviceKind::DefaultDevice
                        && cube.client().properties().identity.name == name =>
                {
                    Some(kind_of(listed, name))
                }
                _ => None,
            });
            listed.unwrap_or(DeviceKind::Other)
        }
        _ => DeviceKind::Other,
    }
}

/// The graphics API on which an adapter is opened: the one that was asked for, or the first one available, in the order in
/// which burn tries them.
#[cfg(feature = "wgpu-unfused")]
fn api_of(adapter: &burn_dispatch::devices::WgpuDevice) -> Option<&'static str> {
    use burn_dispatch::devices::{CubeDevice, WgpuBackend};

    let apis = [
        (WgpuBackend::Metal, "Metal"),
        (WgpuBackend::Vulkan, "Vulkan"),
        (WgpuBackend::Dx12, "DirectX 12"),
        (WgpuBackend::Gl, "OpenGL"),
    ];
    let has = |api: WgpuBackend| match adapter.backend {
        WgpuBackend::Auto => CubeDevice::Wgpu(adapter.clone()).on(api).is_ok(),
        held_to => held_to == api,
    };
    apis.into_iter().find(|(api, _)| has(*api)).map(|(_, name)| name)
}
