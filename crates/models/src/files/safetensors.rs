//! One `.safetensors` file: [`SafetensorsFile`].

use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};

use stratigraph_core::shown;

use super::dtype::Float;
use super::{MappedFile, Safetensors, StoredBytes, TensorFiles};
use crate::{ModelError, Result};

/// A safetensors file with a header that has been checked against the file's size.
pub(crate) struct SafetensorsFile {
    file: MappedFile,
    metadata: Metadata,
    /// Where the tensors' bytes begin.
    start: usize,
}

/// A tensor as it is stored in a file.
pub(crate) struct StoredTensor<'a> {
    pub(crate) dtype: Dtype,
    pub(crate) shape: &'a [usize],
    pub(crate) bytes: StoredBytes<'a>,
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

    /// A tensor as it is stored.
    pub(crate) fn tensor(&self, name: &str) -> Result<StoredTensor<'_>> {
        let TensorInfo { dtype, shape, data_offsets: (begin, end) } = self.info(name)?;
        let (dtype, range) = (*dtype, self.start + begin..self.start + end);
        Ok(StoredTensor { dtype, shape, bytes: StoredBytes { file: &self.file, range } })
    }

    /// The type of a tensor's numbers.
    fn float(&self, name: &str, dtype: Dtype) -> Result<Float> {
        Ok(match dtype {
            Dtype::F32 => Float::F32,
            Dtype::F16 => Float::F16,
            Dtype::BF16 => Float::BF16,
            Dtype::F8_E4M3 => Float::F8E4M3,
            Dtype::F8_E5M2 => Float::F8E5M2,
            other => {
                let reason =
                    "store it as F32, F16 or BF16, such as with `model.float().save_pretrained(..)`".to_owned();
                return Err(ModelError::UnsupportedDtype {
                    name: name.to_owned(),
                    dtype: format!("{other:?}"),
                    reason,
                });
            }
        })
    }

    /// Refuses a tensor of eight-bit numbers if one of the checkpoint's tensors is its scale.
    pub(super) fn refuse_scaled(&self, name: &str, names: impl FnOnce() -> Vec<String>) -> Result<()> {
        let dtype = self.info(name)?.dtype;
        if !self.float(name, dtype).is_ok_and(Float::is_usually_scaled) {
            return Ok(());
        }
        let module = name.strip_suffix("weight").unwrap_or(name);
        let is_scale = |other: &String| other.strip_prefix(module).is_some_and(|rest| rest.contains("scale"));
        match names().into_iter().find(is_scale) {
            Some(scale) => {
                let reason = format!(
                    "it is to be multiplied by its scale `{}`, which is not supported; store the dequantised weights as \
                     BF16",
                    shown(&scale)
                );
                Err(ModelError::UnsupportedDtype { name: name.to_owned(), dtype: format!("{dtype:?}"), reason })
            }
            None => Ok(()),
        }
    }

    /// Some values of a tensor, as [`TensorFiles::read`] gives them; whether they are to be scaled has been checked.
    pub(super) fn read_unscaled(&self, name: &str, elements: Range<usize>) -> Result<Vec<f32>> {
        let float = self.float(name, self.info(name)?.dtype)?;
        Ok(float.decode(&self.stored(name, elements, float.size())?))
    }

    /// The bytes of some elements of a tensor, which have `size` bytes each.
    fn stored(&self, name: &str, elements: Range<usize>, size: usize) -> Result<Mmap> {
        let info = self.info(name)?;
        let (begin, end) = (self.start + info.data_offsets.0, self.start + info.data_offsets.1);
        let range = begin + elements.start * size..begin + elements.end * size;
        if range.end > end {
            let reason = format!("tensor `{}` ends before element {}", shown(name), elements.end);
            return Err(ModelError::malformed(self.path(), reason));
        }
        self.file.bytes(range)
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
        self.refuse_scaled(name, || self.names())?;
        self.read_unscaled(name, elements)
    }
}

impl Safetensors for SafetensorsFile {
    fn read_bytes(&self, name: &str, elements: Range<usize>) -> Result<Vec<u8>> {
        let dtype = self.info(name)?.dtype;
        if dtype != Dtype::U8 {
            let reason = "its numbers must be unsigned bytes".to_owned();
            return Err(ModelError::UnsupportedDtype { name: name.to_owned(), dtype: format!("{dtype:?}"), reason });
        }
        Ok(self.stored(name, elements, 1)?.to_vec())
    }
}
