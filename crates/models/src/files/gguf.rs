//! One GGUF file: [`GgufFile`], its metadata and its tensors, plain or quantised.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rlx_gguf::{GgmlType, GgufTensor, MetaValue, bytes_for_public, dequant_typed};
use serde_json::{Map, Value};

use super::dtype::Float;
use super::{MappedFile, TensorFiles};
use crate::{ModelError, Result};

/// A GGUF file whose tensors are all inside it.
pub(crate) struct GgufFile {
    file: MappedFile,
    header: rlx_gguf::GgufFile,
}

impl GgufFile {
    /// Whether the file at `path` begins as a GGUF file does.
    pub(crate) fn is_gguf(path: &Path) -> Result<bool> {
        let mut start = Vec::new();
        File::open(path).and_then(|file| file.take(4).read_to_end(&mut start)).map_err(ModelError::io(path))?;
        Ok(start == b"GGUF")
    }

    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        let data = file.whole()?;
        let malformed = |reason: String| ModelError::malformed(path, reason);
        if !data.starts_with(b"GGUF") {
            let reason = "it does not begin with GGUF; a safetensors checkpoint is opened by its directory";
            return Err(malformed(reason.into()));
        }
        if declares_zero_alignment(&data) {
            return Err(malformed("its header asks for an alignment of 0".into()));
        }
        let header = rlx_gguf::GgufFile::header_from_bytes(&data).map_err(|e| malformed(format!("{e:#}")))?;
        let declared = declared_tensors(&data, header.version);
        let file = Self { file, header };
        file.check_tensors(declared)?;
        Ok(file)
    }

    /// Checks that names are unique, and that every tensor is inside the file, aligned and without overlap.
    fn check_tensors(&self, declared: Option<u64>) -> Result<()> {
        if declared != Some(self.header.tensors.len() as u64) {
            return Err(ModelError::malformed(self.path(), "two of its tensors have the same name"));
        }
        let mut tensors: Vec<_> = self.header.tensors.values().collect();
        tensors.sort_by(|a, b| (a.offset, &a.name).cmp(&(b.offset, &b.name)));
        let mut end = 0;
        for tensor in tensors {
            let range = self.range(tensor)?;
            if tensor.offset < end || !tensor.offset.is_multiple_of(self.header.alignment) {
                let reason = format!("tensor `{}` overlaps another one or is not aligned", tensor.name);
                return Err(ModelError::malformed(self.path(), reason));
            }
            end = tensor.offset + range.len() as u64;
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// A text of the metadata.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.header.metadata.get(key).and_then(MetaValue::as_str)
    }

    /// A list of texts of the metadata.
    pub(crate) fn texts(&self, key: &str) -> Option<Vec<&str>> {
        self.header.metadata.get(key)?.as_array()?.iter().map(MetaValue::as_str).collect()
    }

    /// A list of numbers of the metadata.
    pub(crate) fn numbers(&self, key: &str) -> Option<Vec<u32>> {
        self.header.metadata.get(key)?.as_array()?.iter().map(MetaValue::as_u32).collect()
    }

    /// A whole number of the metadata.
    pub(crate) fn number(&self, key: &str) -> Option<u32> {
        self.header.metadata.get(key).and_then(MetaValue::as_u32)
    }

    /// A list of floating-point numbers of the metadata.
    pub(crate) fn floats(&self, key: &str) -> Option<Vec<f32>> {
        let float = |value: &MetaValue| match value {
            MetaValue::F32(value) => Some(*value),
            _ => None,
        };
        self.header.metadata.get(key)?.as_array()?.iter().map(float).collect()
    }

    /// A switch of the metadata.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        match self.header.metadata.get(key)? {
            MetaValue::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The metadata under `prefix.`, without the prefix.
    pub(crate) fn keys_of(&self, prefix: &str) -> Map<String, Value> {
        let under = |key: &str| key.strip_prefix(prefix)?.strip_prefix('.').map(str::to_owned);
        self.header.metadata.iter().filter_map(|(key, value)| Some((under(key)?, to_json(value)))).collect()
    }

    fn tensor(&self, name: &str) -> Result<&GgufTensor> {
        self.header.tensors.get(name).ok_or_else(|| ModelError::MissingTensor { name: name.to_owned() })
    }

    /// The range of a tensor's bytes in the file.
    fn range(&self, tensor: &GgufTensor) -> Result<Range<usize>> {
        let locate = || {
            let n = tensor.shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis))?;
            // No type takes less than one bit an element, so a larger count does not fit the file.
            if n / 8 > self.file.len() {
                return None;
            }
            let size = bytes_for_public(tensor.dtype, n)?;
            let start = usize::try_from(self.header.data_offset().checked_add(tensor.offset)?).ok()?;
            let end = start.checked_add(size)?;
            (end <= self.file.len()).then_some(start..end)
        };
        locate().ok_or_else(|| {
            let what = format!("tensor `{}` of shape {:?} as {:?}", tensor.name, tensor.shape, tensor.dtype);
            ModelError::malformed(self.path(), format!("{what} does not lie inside the file"))
        })
    }
}

impl TensorFiles for GgufFile {
    fn files(&self) -> Vec<PathBuf> {
        vec![self.path().to_owned()]
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.header.tensors.keys().cloned().collect();
        names.sort();
        names
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        // GGUF names the contiguous axis first.
        self.header.tensors.get(name).map(|tensor| tensor.shape.iter().rev().copied().collect())
    }

    fn read(&self, name: &str, elements: Range<usize>) -> Result<Vec<f32>> {
        use GgmlType::*;
        let tensor = self.tensor(name)?;
        let range = self.range(tensor)?;
        let place = |n: usize| Some(range.start + bytes_for_public(tensor.dtype, n)?);
        let bytes = match (place(elements.start), place(elements.end)) {
            (Some(start), Some(end)) if end <= range.end => self.file.bytes(start..end)?,
            _ => {
                let reason = format!("tensor `{name}` has no blocks of its own for elements {elements:?}");
                return Err(ModelError::malformed(self.path(), reason));
            }
        };
        match tensor.dtype {
            F32 => Ok(Float::F32.decode(&bytes)),
            F16 => Ok(Float::F16.decode(&bytes)),
            BF16 => Ok(Float::BF16.decode(&bytes)),
            Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q8_0 | Q2K | Q3K | Q4K | Q5K | Q6K => {
                self.dequantise(tensor.dtype, &bytes, elements.len(), name)
            }
            other => Err(ModelError::UnsupportedDtype { name: name.to_owned(), dtype: format!("{other:?}") }),
        }
    }
}

impl GgufFile {
    fn dequantise(&self, dtype: GgmlType, bytes: &[u8], n: usize, name: &str) -> Result<Vec<f32>> {
        /// Elements that one task takes: whole blocks of every type.
        const CHUNK: usize = 1 << 16;
        let chunk_bytes = bytes_for_public(dtype, CHUNK).expect("blocks have at most 256 elements");
        let mut values = vec![0.0; n];
        values.par_chunks_mut(CHUNK).zip(bytes.par_chunks(chunk_bytes)).try_for_each(|(values, bytes)| {
            let chunk = dequant_typed(dtype, bytes, values.len(), name);
            values.copy_from_slice(&chunk.map_err(|e| ModelError::malformed(self.path(), e))?);
            Ok::<(), ModelError>(())
        })?;
        Ok(values)
    }
}

/// Metadata as JSON, so that one reader serves every kind of configuration.
fn to_json(value: &MetaValue) -> Value {
    match value {
        MetaValue::U8(v) => (*v).into(),
        MetaValue::I8(v) => (*v).into(),
        MetaValue::U16(v) => (*v).into(),
        MetaValue::I16(v) => (*v).into(),
        MetaValue::U32(v) => (*v).into(),
        MetaValue::I32(v) => (*v).into(),
        MetaValue::U64(v) => (*v).into(),
        MetaValue::I64(v) => (*v).into(),
        MetaValue::F32(v) => float(f64::from(*v)),
        MetaValue::F64(v) => float(*v),
        MetaValue::Bool(v) => (*v).into(),
        MetaValue::String(v) => v.as_str().into(),
        MetaValue::Array(values) => values.iter().map(to_json).collect(),
    }
}

/// JSON has no NaN and no infinity; as texts they are refused where a number is asked for.
fn float(value: f64) -> Value {
    if value.is_finite() { value.into() } else { value.to_string().into() }
}

/// The number of tensors that the header declares.
fn declared_tensors(data: &[u8], version: u32) -> Option<u64> {
    let bytes = data.get(8..)?;
    if version == 1 {
        Some(u32::from_le_bytes(*bytes.first_chunk()?).into())
    } else {
        Some(u64::from_le_bytes(*bytes.first_chunk()?))
    }
}

/// Whether the metadata sets the alignment to zero, by which the header's reader would divide.
fn declares_zero_alignment(data: &[u8]) -> bool {
    const KEY: &[u8] = b"general.alignment";
    /// Metadata comes before the tensors; a vocabulary makes it a few megabytes at most.
    const WITHIN: usize = 64 << 20;
    let head = &data[..data.len().min(WITHIN)];
    let after = |at: usize| head.get(at + KEY.len()..).and_then(|rest| rest.first_chunk::<12>());
    // A 32-bit whole number (type 4), or one of 64 bits (10, and 11 with a sign).
    let zero = |rest: &[u8; 12]| match rest[..4] {
        [4, 0, 0, 0] => rest[4..8] == [0; 4],
        [10 | 11, 0, 0, 0] => rest[4..] == [0; 8],
        _ => false,
    };
    let starts = |bytes: &[u8]| bytes[0] == KEY[0] && bytes == KEY; // the first byte spares most comparisons
    head.windows(KEY.len()).enumerate().any(|(at, bytes)| starts(bytes) && after(at).is_some_and(zero))
}
