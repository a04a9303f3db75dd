//! From arguments to models: [`Checkpoint`](stratigraph_models::Checkpoint)s opened, weights loaded.

use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;
use stratigraph_core::{ResidualModel, shown};
use stratigraph_models::{Checkpoint, Tokenizer};
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

/// The text of each token by its id, as it stands behind a letter; special tokens are empty.
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

/// Loads a model, or opens it for streaming.
pub fn model(checkpoint: &Checkpoint, stream: bool, device: &Device) -> Result<LoadedModel> {
    if stream {
        let model = Checkpoint::open(checkpoint.path())?.stream(device)?;
        return Ok(LoadedModel { n_bytes: model.n_bytes(), model: Box::new(model) });
    }
    let model = checkpoint.load(device)?;
    Ok(LoadedModel { n_bytes: model.n_bytes(), model: Box::new(model) })
}

/// The same model on each device.
pub fn models(checkpoint: &Checkpoint, stream: bool, devices: &[Device]) -> Result<Vec<LoadedModel>> {
    devices.iter().map(|device| model(checkpoint, stream, device)).collect()
}

/// The memory budget of each of `n_devices` whose weights take `weights` bytes in total. By default each device has the
/// budget of a run on that device alone.
pub fn budget(args: &MemoryArgs, weights: usize, n_devices: usize) -> Result<Budget> {
    let Some(memory) = args.memory else { return Ok(Memory::usual(weights).budget(weights)?) };
    let budget = memory.budget(weights)?;
    Ok(Budget { bytes: budget.bytes / n_devices.max(1), ..budget })
}
