//! Files that hold tensors: [`Checkpoint`], memory-mapped, each tensor converted to f32 when it is asked for.
//!
//! [`SafetensorsFile`], [`ShardedSafetensors`] and [`GgufFile`] check every size and offset of a header against the file before a tensor is
//! read; nothing is allocated because a header says so.

mod dtype;
mod gguf;
mod safetensors;
mod sharded;

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

pub(crate) use self::gguf::GgufFile;
pub(crate) use self::safetensors::SafetensorsFile;
pub(crate) use self::sharded::ShardedSafetensors;
use crate::{ModelError, Result};

/// Named tensors in storage order (the last axis is contiguous).
pub(crate) trait Checkpoint {
    /// The names of all tensors, sorted.
    fn names(&self) -> Vec<String>;

    /// The shape of a tensor, from the outermost axis to the contiguous one.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// The values of a tensor.
    fn read(&self, name: &str) -> Result<Vec<f32>>;
}

/// Maps a whole file into memory.
fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(ModelError::io(path))?;
    let metadata = file.metadata().map_err(ModelError::io(path))?;
    if metadata.is_dir() {
        return Err(ModelError::NotAModel { path: path.to_owned(), reason: "it is a directory, not a file".into() });
    }
    if metadata.len() == 0 {
        return Err(ModelError::malformed(path, "it is empty"));
    }
    // SAFETY: the mapping is read-only. Another process that cuts the file short while it is mapped would be a fault
    // that no check of ours can see; every reader of mapped checkpoints shares it.
    #[allow(unsafe_code)]
    let mapped = unsafe { Mmap::map(&file) };
    mapped.map_err(ModelError::io(path))
}
