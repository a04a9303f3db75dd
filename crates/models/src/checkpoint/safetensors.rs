//! One `.safetensors` file: [`SafetensorsFile`].

use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};

use super::dtype::Float;
use super::{Checkpoint, map};
use crate::{ModelError, Result};

/// A memory-mapped safetensors file with a header that has been checked against the file's size.
pub(crate) struct SafetensorsFile {
    path: PathBuf,
    data: Mmap,
    metadata: Metadata,
    /// Where the tensors' bytes begin.
    start: usize,
}

impl SafetensorsFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let data = map(path)?;
        // Checks that tensors neither overlap nor leave gaps nor end elsewhere than the file.
        let (header, metadata) = SafeTensors::read_metadata(&data).map_err(|e| ModelError::malformed(path, e))?;
        Ok(Self { path: path.to_owned(), data, metadata, start: header + size_of::<u64>() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.metadata.info(name).ok_or_else(|| ModelError::MissingTensor { name: name.to_owned() })
    }
}

impl Checkpoint for SafetensorsFile {
    fn names(&self) -> Vec<String> {
        let mut names = self.metadata.offset_keys();
        names.sort();
        names
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.metadata.info(name).map(|info| info.shape.clone())
    }

    fn read(&self, name: &str) -> Result<Vec<f32>> {
        let info = self.info(name)?;
        let float = match info.dtype {
            Dtype::F32 => Float::F32,
            Dtype::F16 => Float::F16,
            Dtype::BF16 => Float::BF16,
            other => {
                return Err(ModelError::UnsupportedDtype { name: name.to_owned(), dtype: format!("{other:?}") });
            }
        };
        let (begin, end) = info.data_offsets;
        let bytes = self
            .data
            .get(self.start + begin..self.start + end)
            .ok_or_else(|| ModelError::malformed(&self.path, format!("tensor `{name}` ends past the file")))?;
        Ok(float.decode(bytes))
    }
}
