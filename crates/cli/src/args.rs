//! Arguments that several subcommands share: [`ModelArgs`], [`DeviceArgs`], [`OneDeviceArgs`], [`PrecisionArgs`], [`MemoryArgs`].

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use stratigraph_core::Precision;
use stratigraph_study::{Backend, DeviceInfo, DeviceKind, DeviceName, Memory};
use stratigraph_surgery::Intervention;

use crate::{defaults, devices, remote};

/// Which model.
#[derive(clap::Args)]
#[command(next_help_heading = "Model and text")]
pub struct ModelArgs {
    /// A GGUF file, a Hugging Face directory or ORGANISATION/NAME[@REVISION] of the hub [default: models/tiny]
    ///
    /// A model of the hub is taken from the local cache; with the feature `hub` it is downloaded.
    #[arg(long)]
    pub model: Option<PathBuf>,
}

impl ModelArgs {
    /// The path or the name of the model.
    pub fn path(&self) -> Result<PathBuf> {
        self.model.clone().map_or_else(defaults::model, Ok)
    }
}

/// Where to run.
#[derive(clap::Args)]
#[command(next_help_heading = "Devices and memory")]
pub struct DeviceArgs {
    /// flex, ndarray, wgpu, wgpu:N or remote:SERVER; may be given more than once
    ///
    /// flex and ndarray run on the CPU; wgpu on a GPU, wgpu:1 on the second one; remote:ws://HOST:PORT or remote:ID on a
    /// device that another machine serves; vulkan, metal and cuda need other builds. Several devices divide the work.
    /// `stratigraph devices` lists them.
    #[arg(long = "device", value_name = "DEVICE", default_value = "flex")]
    pub names: Vec<DeviceName>,
    /// Skip the comparison of a device with flex before it is used; software adapters are never compared
    #[arg(long)]
    no_device_check: bool,
}

impl DeviceArgs {
    /// Opens each, and checks what it computes.
    pub fn open(&self) -> Result<Vec<Device>> {
        let mut devices: Vec<Device> = Vec::new();
        for name in &self.names {
            let device = self.open_as(name)?;
            let shares_memory = DeviceInfo::of(name, &device).kind == DeviceKind::Processor;
            ensure!(
                shares_memory || !devices.contains(&device),
                "--device {name} is given twice: each would hold the weights and take the memory of the whole device"
            );
            devices.push(device);
        }
        Ok(devices)
    }

    fn open_as(&self, name: &DeviceName) -> Result<Device> {
        let device = name.open()?;
        if self.is_checked(&DeviceInfo::of(name, &device)) {
            devices::check(name, &device)?;
        }
        Ok(device)
    }

    /// Whether a device is compared with flex before it is used; a build without flex cannot. An adapter that is software on the
    /// processor has no hardware that could be at fault, and compiles the kernels of the check for most of a minute.
    fn is_checked(&self, info: &DeviceInfo) -> bool {
        !self.no_device_check && Backend::Flex.is_built() && info.kind != DeviceKind::Software
    }

    /// The opened devices as a profile records them: a GPU with its name and interface, and whether it was checked.
    pub fn record(&self, devices: &[Device]) -> String {
        let record = |(name, device): (&DeviceName, &Device)| {
            let info = DeviceInfo::of(name, device);
            let checked = if self.is_checked(&info) { "checked against flex" } else { "not checked" };
            match info.kind {
                DeviceKind::Processor => name.to_string(),
                DeviceKind::Remote => format!("{name} ({checked})"),
                _ => format!("{name} ({}, {}; {checked})", info.name, info.interface),
            }
        };
        self.names.iter().zip(devices).map(record).collect::<Vec<_>>().join(", ")
    }

    /// Runs what uses the devices; a remote device that is lost becomes an error.
    pub fn guard(&self, run: impl FnOnce() -> Result<()>) -> Result<()> {
        if !self.names.iter().any(|name| matches!(name, DeviceName::Remote { .. })) {
            return run();
        }
        remote::guard(run)
    }
}

impl fmt::Display for DeviceArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.iter().map(DeviceName::to_string).collect::<Vec<_>>().join(", "))
    }
}

/// Where to run what runs on one device.
#[derive(clap::Args)]
#[command(next_help_heading = "Devices and memory")]
pub struct OneDeviceArgs {
    /// flex, ndarray, wgpu, wgpu:N or remote:SERVER, one of them
    ///
    /// flex and ndarray run on the CPU; wgpu on a GPU, wgpu:1 on the second one; remote:ws://HOST:PORT or remote:ID on a
    /// device that another machine serves; vulkan, metal and cuda need other builds. `stratigraph devices` lists them.
    #[arg(long = "device", value_name = "DEVICE", default_value = "flex")]
    name: DeviceName,
    /// Skip the comparison of the device with flex before it is used; software adapters are never compared
    #[arg(long)]
    no_device_check: bool,
}

impl OneDeviceArgs {
    fn all(&self) -> DeviceArgs {
        DeviceArgs { names: vec![self.name.clone()], no_device_check: self.no_device_check }
    }

    /// Opens it, and checks what it computes.
    pub fn open(&self) -> Result<Device> {
        self.all().open_as(&self.name)
    }

    /// As [`DeviceArgs::guard`].
    pub fn guard(&self, run: impl FnOnce() -> Result<()>) -> Result<()> {
        self.all().guard(run)
    }
}

impl fmt::Display for OneDeviceArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// How a model holds its weights.
#[derive(clap::Args)]
#[command(next_help_heading = "Devices and memory")]
pub struct PrecisionArgs {
    /// How weights are held: f32, bf16 or f16
    ///
    /// bf16 and f16 take half the memory, on flex and ndarray; f16 rounds less, and bf16 has the range of f32. The residual stream
    /// is f32 in any case. Which of them is faster depends on the CPU: docs/performance.md.
    #[arg(long, value_name = "PRECISION", default_value_t)]
    pub precision: Precision,
}

/// How a model is kept in memory, and how much memory a run may take.
#[derive(clap::Args)]
#[command(next_help_heading = "Devices and memory")]
pub struct MemoryArgs {
    /// Read each layer from disk when it runs, for a model that is larger than memory
    #[arg(long)]
    pub stream: bool,
    /// The most memory to use, such as 600MB or 4GB; on a GPU, of its own memory [default: the weights and 1 GB for each device; on
    /// a GPU, all that it reports]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Memory>,
}

/// A number of an argument that must not be smaller than `N`.
pub fn at_least<const N: usize>(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "it is not a whole number".to_owned())?;
    if number < N { Err(format!("it must be at least {N}")) } else { Ok(number) }
}

/// An intervention as text, with a name before `=` where it has one: `no-11=0..11-12..30`.
pub fn intervention(text: &str) -> Result<Intervention, String> {
    let is_name =
        |name: &str| !name.is_empty() && !name.contains(['|', '[', '(']) && !name.contains(char::is_whitespace);
    let parse = |text: &str| text.trim().parse::<Intervention>().map_err(|error| error.to_string());
    match text.split_once('=').filter(|(name, _)| is_name(name)) {
        Some((name, text)) => Ok(parse(text)?.with_name(name)),
        None => parse(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intervention_has_a_name_before_the_first_equals_sign() {
        let named = intervention("no-2=0-1-3").unwrap();
        assert_eq!((named.name().as_str(), named.to_string().as_str()), ("no-2", "0-1-3"));
        let text = "0..4 | blocks.3.attn.hook_z heads=1 zero";
        assert_eq!(intervention(text).unwrap().name(), text);
        assert_eq!(intervention(&format!("head={text}")).unwrap().to_string(), text);
        assert_eq!(intervention("0-1[a=mean]").unwrap().edits().len(), 1);
        assert!(intervention("name=").is_err() && intervention("").is_err());
    }

    #[test]
    fn a_number_has_a_lower_bound() {
        assert_eq!(at_least::<2>("2"), Ok(2));
        assert_eq!(at_least::<2>("1").unwrap_err(), "it must be at least 2");
        assert!(at_least::<0>("-1").is_err() && at_least::<0>("x").is_err());
    }
}
