//! `stratigraph devices`: what this machine has to run on; and the [check] of a device that a subcommand opens.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result};
use burn::tensor::Device;
use serde::Serialize;
use stratigraph_models::{Decoder, DecoderConfig};
use stratigraph_study::{Backend, DeviceInfo, DeviceKind, DeviceName, SelfCheck, product_rate};

use crate::output;

/// The arguments of `devices`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph devices\n  \
    stratigraph devices --device wgpu:0 --json")]
pub struct DevicesArgs {
    /// A device to list, as other subcommands take it; may be given more than once [default: all of this machine]
    #[arg(long = "device", value_name = "DEVICE")]
    names: Vec<DeviceName>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Listed {
    devices: Vec<Row>,
    /// Devices that were looked for and not found.
    absent: Vec<Absent>,
}

#[derive(Serialize)]
struct Row {
    device: String,
    #[serde(flatten)]
    info: DeviceInfo,
    #[serde(flatten)]
    tried: Tried,
}

/// How a device did in its checks.
#[derive(Serialize, Default)]
struct Tried {
    /// None for flex itself, in a build without flex, and where the check failed.
    self_check: Option<SelfCheck>,
    /// Why a device must not be used.
    fault: Option<String>,
    /// GFLOP/s of a large product of f32.
    product_gflops: Option<f64>,
}

#[derive(Serialize)]
struct Absent {
    device: String,
    reason: String,
}

/// Lists the devices.
pub fn run(args: &DevicesArgs) -> Result<()> {
    let asked = !args.names.is_empty();
    let names = if asked { args.names.clone() } else { DeviceInfo::names() };
    let mut listed = Listed { devices: Vec::new(), absent: Vec::new() };
    for name in names {
        let mut absent = |reason: String| listed.absent.push(Absent { device: name.to_string(), reason });
        // burn opens an adapter when it is first used, and panics where that fails.
        match name.open().map(|device| catch_unwind(AssertUnwindSafe(|| Row::new(&name, &device)))) {
            Ok(Ok(row)) => listed.devices.push(row),
            Ok(Err(_)) => absent("it cannot be opened; the message above has the reason".to_owned()),
            Err(error) => absent(error.to_string()),
        }
    }
    let has_adapter = listed.devices.iter().any(|row| row.info.kind != DeviceKind::Processor);
    if !asked && !has_adapter {
        let reason = match Backend::Wgpu.is_built() {
            true => "this machine has no graphics adapter that wgpu can use; its driver may be missing",
            false => "not part of this build; build with `--features wgpu`",
        };
        listed.absent.push(Absent { device: Backend::Wgpu.to_string(), reason: reason.to_owned() });
    }
    if args.json {
        output::line(serde_json::to_string_pretty(&listed)?)
    } else {
        output::line(listed.to_string().trim_end())
    }
}

impl Row {
    fn new(name: &DeviceName, device: &Device) -> Self {
        let mut tried = Tried::default();
        match self_check(name, device) {
            Ok(check) => tried.self_check = check,
            Err(error) => tried.fault = Some(format!("{error:#}")),
        }
        if tried.fault.is_none() {
            match product_rate(device) {
                Ok(rate) => tried.product_gflops = Some(rate),
                Err(error) => tried.fault = Some(error.to_string()),
            }
        }
        Self { device: name.to_string(), info: DeviceInfo::of(name, device), tried }
    }
}

/// Compares a small block and its readout with those of flex, unless the device is flex.
///
/// # Errors
/// When they differ.
pub fn check(name: &DeviceName, device: &Device) -> Result<()> {
    let advice = || {
        format!(
            "{name} is not used; choose another device, run without fused kernels (BURN_FUSION_MAX_EXPLORATIONS=0), or leave out the \
             check (--no-device-check)"
        )
    };
    let Some(check) = self_check(name, device).with_context(advice)? else { return Ok(()) };
    if !check.is_f32() {
        let SelfCheck { block, readout, .. } = check;
        output::note(format_args!(
            "{name} computes products in less than f32, as TF32 does: a block is off by {block:.0e}, a readout by {readout:.0e}"
        ));
    }
    Ok(())
}

/// None for flex, and where flex is not built in.
fn self_check(name: &DeviceName, device: &Device) -> Result<Option<SelfCheck>> {
    if *name == DeviceName::Backend(Backend::Flex) || !Backend::Flex.is_built() {
        return Ok(None);
    }
    let reference = model(&Backend::Flex.device()?)?;
    Ok(Some(SelfCheck::run(&model(device)?, &reference)?))
}

/// A model whose widths are no multiples of what kernels compute at once; the same numbers on every device.
fn model(device: &Device) -> Result<Decoder> {
    const SEED: u64 = 25;
    Ok(DecoderConfig::new(1, 72, 6, 517).with_heads(6, 2, 12).with_d_mlp(203).init(SEED, device)?)
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.devices {
            writeln!(f, "{row}")?;
        }
        self.absent.iter().try_for_each(|Absent { device, reason }| writeln!(f, "{device}: {reason}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeviceInfo { name, kind, interface, largest_buffer, memory, precisions, .. } = &self.info;
        let kind = match kind {
            DeviceKind::Processor => "the processor",
            DeviceKind::Software => "software on the processor",
            DeviceKind::Discrete => "a GPU with its own memory",
            DeviceKind::Integrated => "a GPU that shares the processor's memory",
            DeviceKind::Virtual => "a GPU of a virtual machine",
            DeviceKind::Remote => "a device of another machine",
            _ => "of a kind that it does not say",
        };
        writeln!(f, "{}: {name}, {kind}, by {interface}", self.device)?;
        let on_processor = self.info.kind == DeviceKind::Processor;
        let size = |bytes: &Option<usize>| match bytes {
            Some(bytes) => format!("{} MiB", bytes >> 20),
            None if on_processor => "that of the machine".to_owned(),
            None => "not known".to_owned(),
        };
        writeln!(
            f,
            "    memory {}, largest buffer {}; computes in {}",
            size(memory),
            size(largest_buffer),
            precisions.join(", ")
        )?;
        match &self.tried {
            Tried { fault: Some(fault), .. } => writeln!(f, "    NOT TO BE USED: {fault}")?,
            Tried { self_check: None, .. } if !Backend::Flex.is_built() => {
                writeln!(f, "    not checked: this build has no flex")?
            }
            Tried { self_check: None, .. } => writeln!(f, "    what others are checked against")?,
            Tried { self_check: Some(check), .. } => {
                let SelfCheck { block, readout, seconds, .. } = check;
                let grade = if check.is_f32() { "as flex" } else { "less precise than f32" };
                writeln!(
                    f,
                    "    {grade}: a block within {block:.0e}, a readout within {readout:.0e}, in {seconds:.1} s"
                )?;
            }
        }
        match self.tried.product_gflops {
            Some(rate) => writeln!(f, "    a large product of f32: {rate:.0} GFLOP/s"),
            None => Ok(()),
        }
    }
}
