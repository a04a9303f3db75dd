//! From arguments to models: [`Checkpoint`](stratigraph_models::Checkpoint)s opened, weights loaded.

use std::path::Path;

use anyhow::{Context, Result};
use burn::tensor::Device;
use stratigraph_core::{DeviceLimits, Precision, ResidualModel, is_host_device, shown};
use stratigraph_models::{Checkpoint, LoadOptions, Tokenizer};
use stratigraph_study::Memory;
use stratigraph_surgery::Budget;

use crate::args::MemoryArgs;
use crate::output;

/// Opens a file, a directory or a model of the hub, with a bar while it is downloaded.
pub fn open(model: &Path) -> Result<Checkpoint> {
    let bar = output::download_bar()?;
    let checkpoint = Checkpoint::open_with_progress(model, |download| {
        bar.set_message(download.file.to_owned());
        bar.set_length(download.total);
        bar.set_position(download.received);
    });
    bar.finish_and_clear();
    let checkpoint = checkpoint?;
    for key in checkpoint.unread_keys() {
        output::note(format_args!(
            "the model's configuration has `{}`, which this program does not know and ignores",
            shown(key)
        ));
    }
    Ok(checkpoint)
}

/// The name that the record shows: the last part of a path, or the whole name of a model of the hub.
pub fn name(path: &Path) -> String {
    let last = path.file_name().filter(|_| path.exists());
    last.unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The text of each token by its id, as it is after a letter; special tokens are empty.
pub fn token_texts(tokenizer: &Tokenizer) -> Result<Vec<String>> {
    let mut texts = tokenizer.token_texts()?;
    for token in tokenizer.special_tokens() {
        texts.get_mut(token as usize).into_iter().for_each(String::clear);
    }
    Ok(texts)
}

/// A model with the bytes of its weights in memory.
pub struct LoadedModel {
    pub model: Box<dyn ResidualModel>,
    pub n_bytes: usize,
}

impl LoadedModel {
    fn is_on_host(&self) -> bool {
        is_host_device(&self.model.device())
    }
}

/// Loads a model, or opens it for streaming, with its weights in a precision.
pub fn model(checkpoint: &Checkpoint, stream: bool, precision: Precision, device: &Device) -> Result<LoadedModel> {
    let largest_tensor = DeviceLimits::of(device).largest_tensor();
    let options = LoadOptions::default().with_largest_tensor_bytes(largest_tensor).with_precision(precision);
    if stream {
        let model = Checkpoint::open(checkpoint.path())?.stream_with(options, device)?;
        return Ok(LoadedModel { n_bytes: model.n_bytes(), model: Box::new(model) });
    }
    let model = checkpoint.load_with(&options, device)?;
    Ok(LoadedModel { n_bytes: model.n_bytes(), model: Box::new(model) })
}

/// The same model on each device.
pub fn models(
    checkpoint: &Checkpoint,
    stream: bool,
    precision: Precision,
    devices: &[Device],
) -> Result<Vec<LoadedModel>> {
    devices.iter().map(|device| model(checkpoint, stream, precision, device)).collect()
}

/// The memory budget of a run on each of the devices that `models` are on, with another model beside the first. CPU backends share
/// the memory of this machine; any other device has its own, its own limits, and a limit that the user sets for itself.
pub fn budget(args: &MemoryArgs, models: &[LoadedModel], reference: Option<&LoadedModel>) -> Result<Budget> {
    let with = |loaded: &LoadedModel| reference.filter(|other| other.model.device() == loaded.model.device());
    let (host, others): (Vec<&LoadedModel>, Vec<&LoadedModel>) = models.iter().partition(|it| it.is_on_host());
    let others = others.into_iter().map(|it| on_device(args.memory, it, with(it).map_or(0, |other| other.n_bytes)));
    let mut budgets = others.collect::<Result<Vec<_>>>()?;
    if !host.is_empty() {
        let all = host.iter().copied().chain(reference.filter(|other| other.is_on_host()));
        budgets.push(on_host(args.memory, all.map(|loaded| loaded.n_bytes).sum(), host.len())?);
    }
    let smallest = |a: Budget, b: Budget| Budget {
        bytes: a.bytes.min(b.bytes),
        largest_tensor_bytes: a.largest_tensor_bytes.min(b.largest_tensor_bytes),
    };
    budgets.into_iter().reduce(smallest).context("no model is loaded")
}

/// That of each of `n_devices` in this machine's memory, whose weights take `weights` bytes in total. By default each has the
/// budget of a run on that device alone.
fn on_host(memory: Option<Memory>, weights: usize, n_devices: usize) -> Result<Budget> {
    let Some(memory) = memory else { return Ok(Memory::usual(weights).budget(weights)?) };
    let budget = memory.budget(weights)?;
    Ok(Budget { bytes: budget.bytes / n_devices.max(1), ..budget })
}

/// That of a device with memory of its own, which holds `beside` bytes beside the model.
fn on_device(memory: Option<Memory>, loaded: &LoadedModel, beside: usize) -> Result<Budget> {
    let (limits, weights) = (DeviceLimits::of(&loaded.model.device()), loaded.n_bytes + beside);
    let memory = memory.map_or_else(|| Memory::usual_on(limits, weights), Memory::of_device);
    Ok(Budget { largest_tensor_bytes: limits.largest_tensor(), ..memory.budget(weights)? })
}
