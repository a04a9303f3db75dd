//! One `.safetensors` file: [`SafetensorsFile`].

use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};

use super::dtype::Float;
use super::{MappedFile, TensorFiles};
use crate::{ModelError, Result};

/// A safetensors file with a header that has been checked against the file's size.
pub(crate) struct SafetensorsFile {
    file: MappedFile,
    metadata: Metadata,
    /// Where the tensors' bytes begin.
    start: usize,
}

impl SafetensorsFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        // Checks that tensors neither overlap nor leave gaps nor end elsewhere than the file.
        let (header, metadata) =
            SafeTensors::read_metadata(&file.whole()?).map_err(|e| ModelError::malformed(path, e))?;
        Ok(Self { file, metadata, start: header + size_of::<u64>() })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    fn info(&self, name: &str) -> Result<&TensorInfo> {
        self.metadata.info(name).ok_or_else(|| ModelError::MissingTensor { name: name.to_owned() })
    }
}

impl TensorFiles for SafetensorsFile {
    fn files(&self) -> Vec<PathBuf> {
        vec![self.path().to_owned()]
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.metadata.offset_keys();
        names.sort();
        names
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.metadata.info(name).map(|info| info.shape.clone())
    }

    fn read(&self, name: &str, elements: Range<usize>) -> Result<Vec<f32>> {
        let info = self.info(name)?;
        let float = match info.dtype {
            Dtype::F32 => Float::F32,
            Dtype::F16 => Float::F16,
            Dtype::BF16 => Float::BF16,
            other => {
                return Err(ModelError::UnsupportedDtype { name: name.to_owned(), dtype: format!("{other:?}") });
            }
        };
        let (begin, end) = (self.start + info.data_offsets.0, self.start + info.data_offsets.1);
        let range = begin + elements.start * float.size()..begin + elements.end * float.size();
        if range.end > end {
            return Err(ModelError::malformed(
                self.path(),
                format!("tensor `{name}` ends before element {}", elements.end),
            ));
        }
        Ok(float.decode(&self.file.bytes(range)?))
    }
}
