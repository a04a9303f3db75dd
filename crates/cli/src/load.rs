//! From arguments to models and windows: [`Checkpoint`](stratigraph_models::Checkpoint)s opened, texts cut, weights loaded.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use burn::tensor::Device;
use stratigraph_core::{ResidualModel, TokenWindows, shown};
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

/// The first `n` windows of a text file, which is read only as far as they need it.
pub fn windows(tokenizer: &Tokenizer, text: &Path, seq_len: usize, n: usize) -> Result<TokenWindows> {
    let reader = open_text(text)?;
    tokenizer.windows(reader, seq_len, n).with_context(|| format!("cannot cut windows from {}", text.display()))
}

/// The beginning of a text file, about `n_bytes` at most, cut at the end of a line.
pub fn beginning(text: &Path, n_bytes: u64) -> Result<String> {
    let cannot = || format!("cannot read {}", text.display());
    let mut bytes = Vec::new();
    open_text(text)?.take(n_bytes).read_to_end(&mut bytes).with_context(cannot)?;
    if bytes.len() as u64 == n_bytes {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.truncate(end);
        if let Err(error) = std::str::from_utf8(&bytes)
            && error.error_len().is_none()
        {
            bytes.truncate(error.valid_up_to()); // a character is cut
        }
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow!("{} is not UTF-8 at byte {at}", text.display())
    })
}

fn open_text(text: &Path) -> Result<BufReader<File>> {
    let file = File::open(text).with_context(|| format!("cannot read {}", text.display()))?;
    ensure!(!text.is_dir(), "cannot read {}: it is a directory, and --text takes a file", text.display());
    Ok(BufReader::new(file))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_text_ends_with_a_line_or_a_character() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text.txt");
        let read = |text: &[u8], n_bytes| {
            std::fs::write(&path, text).unwrap();
            beginning(&path, n_bytes).map_err(|error| error.to_string())
        };
        assert_eq!(read(b"one\ntwo\n", 100).unwrap(), "one\ntwo\n");
        assert_eq!(read(b"one\ntwo\n", 6).unwrap(), "one\n");
        assert_eq!(read("aé".as_bytes(), 2).unwrap(), "a");
        assert!(read(b"a\xe9b", 100).unwrap_err().ends_with("is not UTF-8 at byte 1"));
        assert!(beginning(dir.path(), 9).unwrap_err().to_string().contains("it is a directory"));
    }
}
