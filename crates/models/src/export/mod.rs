//! Checkpoints with other layers, written as they were read: [`Checkpoint::export`], [`Export`].
//!
//! Tensors are copied byte by byte, under their names, in their layout and type; only the numbers of layers change. So every
//! family that can be read can be written: a Hugging Face directory, which transformers opens, or a GGUF file.

mod blocks;
mod gguf;
mod hugging_face;
mod keys;
mod shards;

use std::path::{Path, PathBuf};

use self::blocks::{Blocks, Copied};
use self::gguf::Gguf;
use self::hugging_face::HuggingFace;
use crate::family::{Kind, Param, Part};
use crate::write::PendingDirectory;
use crate::{Checkpoint, ModelError, Result};

/// A checkpoint with some of its layers in some order, which can be written.
///
/// ```no_run
/// use stratigraph_models::Checkpoint;
/// let checkpoint = Checkpoint::open("SmolLM2-135M")?;
/// checkpoint.export(&[0, 1, 2, 4, 3])?.write("pruned")?; // refused here if it cannot be written, before any work
/// # Ok::<(), stratigraph_models::ModelError>(())
/// ```
pub struct Export<'a> {
    checkpoint: &'a Checkpoint,
    layers: Vec<usize>,
    format: Format<'a>,
    sizes: ExportSizes,
    added: Vec<AddedFile>,
    max_shard_bytes: u64,
}

enum Format<'a> {
    HuggingFace(HuggingFace),
    Gguf(Gguf<'a>),
}

/// An additional file that the checkpoint does not have.
struct AddedFile {
    name: String,
    content: Vec<u8>,
}

/// How large an export is, without headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportSizes {
    /// Bytes of the tensors of the checkpoint.
    pub source_bytes: u64,
    /// Bytes of the tensors that are written.
    pub bytes: u64,
    /// How many of these are of layers that were written before: no format lets two layers share a tensor.
    pub repeated_bytes: u64,
}

impl ExportSizes {
    fn new(source_bytes: u64, copies: &[Copied], size: impl Fn(&str) -> Result<u64>) -> Result<Self> {
        let mut sizes = Self { source_bytes, bytes: 0, repeated_bytes: 0 };
        for copied in copies {
            let size = size(&copied.from)?;
            sizes.bytes += size;
            sizes.repeated_bytes += if copied.repeats { size } else { 0 };
        }
        Ok(sizes)
    }
}

fn refused(checkpoint: &Checkpoint, reason: String) -> ModelError {
    ModelError::CannotExport { path: checkpoint.path().to_owned(), reason }
}

impl Checkpoint {
    /// Whether the checkpoint can be written with these layers in this order.
    ///
    /// # Errors
    /// [`ModelError::CannotExport`] with the reason: a layer does not exist, or its configuration cannot say this order.
    /// When a tensor is missing or has another shape than the configuration asks for, and when a file is damaged.
    pub fn can_save(&self, layers: &[usize]) -> Result<()> {
        self.export(layers).map(|_| ())
    }

    /// The checkpoint with these layers in this order; a layer may come more than once.
    ///
    /// # Errors
    /// As [`can_save`](Self::can_save).
    pub fn export(&self, layers: &[usize]) -> Result<Export<'_>> {
        let n_layers = self.config().n_layers;
        if let Some(layer) = layers.iter().find(|layer| **layer >= n_layers) {
            return Err(refused(self, format!("layer {layer} does not exist; there are {n_layers}, counted from 0")));
        }
        if layers.is_empty() {
            return Err(refused(self, "it would have no layers".to_owned()));
        }
        self.check_shapes()?;
        let blocks = Blocks { root: self.block_names(), layers };
        let format = match (self.gguf(), self.hf_config()?) {
            (Some(file), _) => Format::Gguf(Gguf::new(self, file, &blocks)?),
            (None, json) => Format::HuggingFace(HuggingFace::new(self, json.unwrap_or_default(), &blocks)?),
        };
        let sizes = match &format {
            Format::Gguf(gguf) => gguf.sizes()?,
            Format::HuggingFace(hugging_face) => hugging_face.sizes()?,
        };
        let (layers, max_shard_bytes) = (layers.to_vec(), shards::USUAL_BYTES);
        Ok(Export { checkpoint: self, layers, format, sizes, added: Vec::new(), max_shard_bytes })
    }

    /// The beginning of the names of the tensors of blocks, such as `model.layers`.
    fn block_names(&self) -> String {
        let name = self.name_of(Param { layer: Some(0), part: Part::Query, kind: Kind::Weight });
        name.split_once(".0.").map(|(root, _)| root.to_owned()).unwrap_or_default()
    }
}

impl Export<'_> {
    /// With safetensors files of at most about this many bytes; 5 GB by default. A GGUF is always one file.
    pub fn with_max_shard_bytes(self, max_shard_bytes: u64) -> Self {
        Self { max_shard_bytes, ..self }
    }

    /// With one more file, such as a model card `README.md`.
    pub fn with_file(mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.added.push(AddedFile { name: name.into(), content: content.into() });
        self
    }

    /// The layers that are written, in order.
    pub fn layers(&self) -> &[usize] {
        &self.layers
    }

    /// Whether a GGUF file is written, and not a Hugging Face directory.
    pub fn is_gguf(&self) -> bool {
        matches!(self.format, Format::Gguf(_))
    }

    /// How large it is.
    pub fn sizes(&self) -> ExportSizes {
        self.sizes
    }

    /// How the tensors are stored, each type once: as PyTorch names it, such as `bfloat16`, or as GGUF does, such as `Q4_1`.
    pub fn dtypes(&self) -> Vec<String> {
        match &self.format {
            Format::Gguf(gguf) => gguf.dtypes(),
            Format::HuggingFace(hugging_face) => hugging_face.dtypes(),
        }
    }

    /// Writes the directory `dir`, which must be new or empty: `config.json`, the weights and the tokenizer's files, or
    /// `model.gguf`. It is written under another name beside its place, and moved there once it is complete and reads back as these
    /// layers, so there is either all of it or nothing. Returns the files.
    ///
    /// # Errors
    /// When there is something at `dir` already, or a file cannot be read or written.
    pub fn write(&self, dir: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        let pending = PendingDirectory::new(dir.as_ref())?;
        match &self.format {
            Format::Gguf(gguf) => gguf.write(&pending)?,
            Format::HuggingFace(hugging_face) => {
                hugging_face.write(self.checkpoint, self.max_shard_bytes, &pending)?;
            }
        }
        for AddedFile { name, content } in &self.added {
            if pending.partial().join(name).exists() {
                return Err(refused(self.checkpoint, format!("a file {name} is written already")));
            }
            pending.file(name, |file| file.put(content))?;
        }
        self.check_written(&pending)?;
        let files = pending.file_names()?.into_iter().map(|name| dir.as_ref().join(name)).collect();
        pending.commit()?;
        Ok(files)
    }

    /// Opens what was written and looks whether it is this export.
    fn check_written(&self, pending: &PendingDirectory) -> Result<()> {
        let path = if self.is_gguf() { pending.partial().join(gguf::FILE) } else { pending.partial().to_owned() };
        let written = Checkpoint::open_with_families(path, self.checkpoint.families())?;
        written.check_shapes()?;
        if *written.config() != self.checkpoint.config().with_layer_order(&self.layers) {
            return Err(refused(self.checkpoint, "what was written reads back as another model".to_owned()));
        }
        Ok(())
    }
}
