//! Where an example runs: on which devices, and in how much memory.

use std::fmt::Display;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use stratigraph::prelude::*;
use stratigraph::surgery::Budget;
use stratigraph::{DeviceName, Memory};

/// Where to run.
#[derive(clap::Args)]
pub struct Devices {
    /// flex or ndarray on a CPU; wgpu on a GPU, wgpu:1 on the second; remote:ws://HOST:PORT or remote:ID where another machine
    /// serves one. Given more than once, surgery shares the windows out among them
    #[arg(long = "device", default_value = "flex")]
    pub names: Vec<DeviceName>,
}

impl Devices {
    /// Opens each.
    pub fn open(&self) -> Result<Vec<Device>> {
        Ok(self.names.iter().map(DeviceName::open).collect::<Result<_, _>>()?)
    }

    /// Opens the only one.
    pub fn open_one(&self) -> Result<Device> {
        self.check_one()?;
        Ok(self.names[0].open()?)
    }

    /// Refuses several.
    pub fn check_one(&self) -> Result<()> {
        ensure!(self.names.len() == 1, "this runs on one device; {self} are given");
        Ok(())
    }
}

impl Display for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.names.iter().map(DeviceName::to_string).collect::<Vec<_>>().join(", "))
    }
}

/// How a model is kept in memory, and how much of that it may take.
#[derive(clap::Args)]
pub struct Room {
    /// Keep no block of the model in memory: each is read when it is to run
    #[arg(long)]
    pub stream: bool,
    /// What surgery may take, weights and all, such as 600MB or 4GB. By default the weights, and 1 GB for each device
    #[arg(long)]
    pub memory: Option<Memory>,
}

impl Room {
    /// A model on each device, and what is left for each to run in.
    pub fn load(&self, checkpoint: &Pretrained, devices: &[Device]) -> Result<(Vec<Box<dyn ResidualModel>>, Budget)> {
        let mut weights = 0;
        let mut load = |device: &Device| -> Result<Box<dyn ResidualModel>> {
            if self.stream {
                let model = Pretrained::open(checkpoint.path())?.stream(device)?;
                weights += model.n_bytes();
                return Ok(Box::new(model));
            }
            let model = checkpoint.load(device)?;
            weights += model.n_bytes();
            Ok(Box::new(model))
        };
        let models = devices.iter().map(&mut load).collect::<Result<Vec<_>>>()?;
        const EACH: usize = 1_000_000_000; // as for one device
        let usual = Memory::new(weights.saturating_add(devices.len() * EACH));
        let Budget { bytes, largest_tensor_bytes } = self.memory.unwrap_or(usual).budget(weights)?;
        Ok((models, Budget { bytes: bytes / devices.len(), largest_tensor_bytes }))
    }
}
