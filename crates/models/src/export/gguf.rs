//! A GGUF file with other layers: [`Gguf`].

use std::collections::{BTreeMap, BTreeSet};

use super::blocks::{Blocks, Copied};
use super::{ExportSizes, refused};
use crate::family::Recipe;
use crate::files::{GgufFile, RawEntry, RawHeader, RawTensor};
use crate::write::{NewFile, PendingDirectory};
use crate::{Checkpoint, ModelError, Result};

/// The file that is written.
pub(super) const FILE: &str = "model.gguf";

/// Arrays of an architecture with an entry for something else than each layer, which could happen to have as many.
const NOT_OF_LAYERS: [&str; 2] = [".rope.dimension_sections", ".classifier.output_labels"];

/// What becomes of a GGUF file, which is one file even where it was split.
pub(super) struct Gguf<'a> {
    header: Vec<u8>,
    alignment: u64,
    tensors: BTreeMap<String, RawTensor<'a>>,
    copies: Vec<Copied>,
}

impl<'a> Gguf<'a> {
    pub(super) fn new(checkpoint: &Checkpoint, file: &'a GgufFile, blocks: &Blocks) -> Result<Self> {
        let RawHeader { version, alignment, mut entries, tensors } = file.raw_header()?;
        entries.retain(|entry| !entry.key.starts_with("split."));
        edit(&mut entries, file, checkpoint.config().n_layers, blocks.layers)?;
        let copies = blocks.copies(tensors.iter().map(|tensor| tensor.name.clone()));
        let tensors: BTreeMap<_, _> = tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        let mut gguf = Self { header: Vec::new(), alignment, tensors, copies };
        gguf.header = gguf.header_bytes(version, &entries);
        // Read again, since what was opened is still needed.
        let edited = GgufFile::open(file.path())?.with_metadata_of(&gguf.header)?;
        let expected = checkpoint.config().with_layer_order(blocks.layers);
        if !Recipe::from_gguf(&edited).is_ok_and(|recipe| recipe.config == expected) {
            let reason = "its metadata cannot say which layers have a window, rotate or are mixtures";
            return Err(refused(checkpoint, reason.to_owned()));
        }
        Ok(gguf)
    }

    /// Everything before the tensors, with the padding after it.
    fn header_bytes(&self, version: u32, entries: &[RawEntry]) -> Vec<u8> {
        let mut header = b"GGUF".to_vec();
        header.extend(version.to_le_bytes());
        header.extend((self.copies.len() as u64).to_le_bytes());
        header.extend((entries.len() as u64).to_le_bytes());
        for RawEntry { key, value } in entries {
            put_text(&mut header, key);
            header.extend(value);
        }
        let mut offset = 0u64;
        for copied in &self.copies {
            let tensor = &self.tensors[&copied.from];
            put_text(&mut header, &copied.to);
            header.extend(&tensor.form);
            header.extend(offset.to_le_bytes());
            offset += self.aligned(tensor.bytes.len() as u64);
        }
        header.resize(self.aligned(header.len() as u64) as usize, 0);
        header
    }

    fn aligned(&self, size: u64) -> u64 {
        size.next_multiple_of(self.alignment)
    }

    pub(super) fn sizes(&self) -> Result<ExportSizes> {
        let size = |name: &str| Ok(self.tensors[name].bytes.len() as u64);
        let source = self.tensors.values().map(|tensor| tensor.bytes.len() as u64).sum();
        ExportSizes::new(source, &self.copies, size)
    }

    pub(super) fn dtypes(&self) -> Vec<String> {
        self.tensors.values().map(|tensor| tensor.dtype.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(super) fn write(&self, dir: &PendingDirectory) -> Result<()> {
        dir.file(FILE, |file| {
            file.put(&self.header)?;
            self.copies.iter().try_for_each(|copied| self.put_tensor(file, &self.tensors[&copied.from]))
        })
    }

    fn put_tensor(&self, file: &mut NewFile, RawTensor { bytes, .. }: &RawTensor) -> Result<()> {
        bytes.copy(|piece| file.put(piece))?;
        let len = bytes.len() as u64;
        file.put(&vec![0; (self.aligned(len) - len) as usize])
    }
}

fn put_text(header: &mut Vec<u8>, text: &str) {
    header.extend((text.len() as u64).to_le_bytes());
    header.extend(text.as_bytes());
}

/// Says the number of layers, and picks the values of arrays that have one for each layer.
fn edit(entries: &mut [RawEntry], file: &GgufFile, n_layers: usize, layers: &[usize]) -> Result<()> {
    let missing = || ModelError::MissingKey { key: "general.architecture".into() };
    let architecture = file.text("general.architecture").ok_or_else(missing)?;
    let (block_count, own) = (format!("{architecture}.block_count"), format!("{architecture}."));
    for entry in entries {
        let is_of_layers = || !NOT_OF_LAYERS.iter().any(|end| entry.key.ends_with(end));
        if entry.key == block_count {
            entry.set_number(layers.len(), file.path())?;
        } else if entry.key.starts_with(&own) && is_of_layers() && entry.array_len() == Some(n_layers) {
            entry.pick(layers, file.path())?;
        }
    }
    Ok(())
}
