//! Files that hold tensors: [`TensorFiles`], each tensor mapped into memory and converted to f32 when it is asked for.
//!
//! [`SafetensorsFile`], [`ShardedSafetensors`] and [`GgufFile`] check every size and offset of a header against the
//! file before a tensor is read, so that a wrong header cannot cause an allocation. A [`MappedFile`] is mapped only
//! while it is read, so that a process is not charged for a checkpoint that is larger than its memory.

mod dtype;
mod gguf;
mod mxfp4;
mod safetensors;
mod sharded;
mod vector;

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapOptions};

pub(crate) use self::gguf::{GgufFile, RawEntry, RawHeader, RawTensor, from_pattern};
pub(crate) use self::mxfp4::Mxfp4;
pub(crate) use self::safetensors::{SafetensorsFile, StoredTensor};
pub(crate) use self::sharded::ShardedSafetensors;
pub use self::vector::read_vector;
use crate::{ModelError, Result};

/// Named tensors in storage order (the last axis is contiguous).
pub(crate) trait TensorFiles {
    /// The names of all tensors, sorted.
    fn names(&self) -> Vec<String>;

    /// The shape of a tensor, from the outermost axis to the contiguous one.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// The files that it reads.
    fn files(&self) -> Vec<PathBuf>;

    /// Some values of a tensor, counted in storage order. A range of a quantised tensor is one of whole rows.
    fn read(&self, name: &str, elements: Range<usize>) -> Result<Vec<f32>>;

    /// All values of a tensor.
    fn read_all(&self, name: &str) -> Result<Vec<f32>> {
        let shape = self.shape(name).ok_or_else(|| ModelError::MissingTensor { name: name.to_owned() })?;
        self.read(name, 0..shape.iter().product())
    }
}

/// Safetensors files, which may also hold tensors of bytes.
pub(crate) trait Safetensors: TensorFiles {
    /// Some bytes of a tensor of unsigned bytes, counted in storage order.
    fn read_bytes(&self, name: &str, elements: Range<usize>) -> Result<Vec<u8>>;
}

/// A file that is mapped into memory piece by piece.
pub(crate) struct MappedFile {
    path: PathBuf,
    file: File,
    len: usize,
}

impl MappedFile {
    /// Opens a file that is neither a directory nor empty.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(ModelError::io(path))?;
        let metadata = file.metadata().map_err(ModelError::io(path))?;
        if metadata.is_dir() {
            return Err(ModelError::not_a_model(path, "it is a directory, not a file"));
        }
        if metadata.len() == 0 {
            return Err(ModelError::malformed(path, "it is empty"));
        }
        refuse_pointer(&file, path)?;
        let len = usize::try_from(metadata.len()).map_err(|e| ModelError::malformed(path, e))?;
        Ok(Self { path: path.to_owned(), file, len })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes the file had when it was opened.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Maps all of it.
    pub(crate) fn whole(&self) -> Result<Mmap> {
        self.bytes(0..self.len)
    }

    /// Maps some of its bytes.
    ///
    /// # Errors
    /// When the file is shorter than that, or cannot be mapped.
    pub(crate) fn bytes(&self, range: Range<usize>) -> Result<Mmap> {
        let now = self.file.metadata().map_err(ModelError::io(&self.path))?.len();
        if (range.end as u64) > now {
            return Err(ModelError::malformed(&self.path, format!("it ends at byte {now}, before byte {}", range.end)));
        }
        let mut options = MmapOptions::new();
        options.offset(range.start as u64).len(range.len());
        // SAFETY: the mapping is read-only. Another process that cuts the file short while it is mapped would be a fault
        // that no check of ours can see; every reader of mapped checkpoints shares it.
        #[allow(unsafe_code)]
        let mapped = unsafe { options.map(&self.file) };
        mapped.map_err(ModelError::io(&self.path))
    }
}

/// Some bytes of a file, such as those of a tensor.
pub(crate) struct StoredBytes<'a> {
    pub(crate) file: &'a MappedFile,
    pub(crate) range: Range<usize>,
}

impl StoredBytes<'_> {
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// Gives the bytes to `put`, a piece at a time.
    pub(crate) fn copy(&self, mut put: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        const PIECE: usize = 16 << 20;
        for start in self.range.clone().step_by(PIECE) {
            put(&self.file.bytes(start..self.range.end.min(start + PIECE))?)?;
        }
        Ok(())
    }
}

/// Refuses the small text that Git keeps in place of a large file which was not fetched.
fn refuse_pointer(file: &File, path: &Path) -> Result<()> {
    const POINTER: &[u8] = b"version https://git-lfs";
    let mut start = Vec::new();
    file.take(POINTER.len() as u64).read_to_end(&mut start).map_err(ModelError::io(path))?;
    if start != POINTER {
        return Ok(());
    }
    let reason = "Git LFS has not fetched it, and this is only its pointer; run `git lfs pull` there";
    Err(ModelError::not_a_model(path, reason))
}
