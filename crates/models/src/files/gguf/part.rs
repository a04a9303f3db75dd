//! One file in the GGUF format: [`Part`], its header and its tensors, plain or quantised.

use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use rlx_gguf::{GgmlType, GgufTensor, bytes_for_public, dequant_typed};
use stratigraph_core::shown;

use crate::files::MappedFile;
use crate::files::dtype::Float;
use crate::guarded::guarded;
use crate::{ModelError, Result};

/// Values in a block of MXFP4.
const MXFP4_BLOCK: usize = 32;

/// What a division by the alignment says when that is 0.
const ZERO_ALIGNMENT: &str = "attempt to calculate the remainder with a divisor of zero";

/// A file in the GGUF format: a whole model, or a part of one.
pub(super) struct Part {
    pub(super) file: MappedFile,
    pub(super) header: rlx_gguf::GgufFile,
}

/// How the values of a tensor are stored.
enum Storage {
    Plain(Float),
    /// In blocks that are dequantised each by itself.
    Blocks,
}

/// None for a type that has no reference to be compared with, as whole numbers and types of single programs, and for NVFP4, of
/// which the library knows another form than llama.cpp writes.
fn storage(dtype: GgmlType) -> Option<Storage> {
    use GgmlType::*;
    Some(match dtype {
        F32 => Storage::Plain(Float::F32),
        F16 => Storage::Plain(Float::F16),
        BF16 => Storage::Plain(Float::BF16),
        Q1_0 | Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q8_0 | Q2K | Q3K | Q4K | Q5K | Q6K | Q8K | IQ1S | IQ1M | IQ2XXS | IQ2XS
        | IQ2S | IQ3XXS | IQ3S | IQ4NL | IQ4XS | TQ1_0 | TQ2_0 | MXFP4 => Storage::Blocks,
        _ => return None,
    })
}

fn unsupported(GgufTensor { name, dtype, .. }: &GgufTensor) -> ModelError {
    let reason = "convert the file to a type that docs/models.md lists".to_owned();
    ModelError::UnsupportedDtype { name: name.clone(), dtype: dtype.to_string(), reason }
}

impl Part {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        let data = file.whole()?;
        let malformed = |reason: String| ModelError::malformed(path, reason);
        if !data.starts_with(b"GGUF") {
            let reason = "it does not begin with GGUF; a safetensors checkpoint is opened by its directory";
            return Err(malformed(reason.into()));
        }
        if is_big_endian(&data) {
            return Err(ModelError::not_a_model(path, BIG_ENDIAN));
        }
        let header = guarded(|| rlx_gguf::GgufFile::header_from_bytes(&data)).map_err(|panic| match &panic[..] {
            ZERO_ALIGNMENT => malformed("its header asks for an alignment of 0".into()),
            _ => malformed(format!("its header cannot be read: {panic}")),
        })?;
        let header = header.map_err(|e| malformed(format!("{e:#}")))?;
        let declared = declared_tensors(&data, header.version);
        let part = Self { file, header };
        part.check_tensors(declared)?;
        Ok(part)
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
                let reason = format!("tensor `{}` overlaps another one or is not aligned", shown(&tensor.name));
                return Err(ModelError::malformed(self.path(), reason));
            }
            end = tensor.offset + range.len() as u64;
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The range of a tensor's bytes in the file.
    pub(super) fn range(&self, tensor: &GgufTensor) -> Result<Range<usize>> {
        if bytes_for_public(tensor.dtype, 0).is_none() {
            return Err(unsupported(tensor)); // nothing is known of its size
        }
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
            let what = format!("tensor `{}` of shape {:?} as {}", shown(&tensor.name), tensor.shape, tensor.dtype);
            ModelError::malformed(self.path(), format!("{what} does not lie inside the file"))
        })
    }

    /// Some values of a tensor, counted in storage order: whole rows of a quantised one.
    pub(super) fn read(&self, tensor: &GgufTensor, elements: Range<usize>) -> Result<Vec<f32>> {
        let GgufTensor { name, dtype, .. } = tensor;
        let storage = storage(*dtype).ok_or_else(|| unsupported(tensor))?;
        let range = self.range(tensor)?;
        let place = |n: usize| Some(range.start + bytes_for_public(*dtype, n)?);
        let bytes = match (place(elements.start), place(elements.end)) {
            (Some(start), Some(end)) if end <= range.end => self.file.bytes(start..end)?,
            _ => {
                let reason = format!("tensor `{}` has no blocks of its own for elements {elements:?}", shown(name));
                return Err(ModelError::malformed(self.path(), reason));
            }
        };
        match storage {
            Storage::Plain(float) => Ok(float.decode(&bytes)),
            Storage::Blocks => self.dequantise(tensor, &bytes, elements.len()),
        }
    }

    fn dequantise(&self, GgufTensor { name, dtype, .. }: &GgufTensor, bytes: &[u8], n: usize) -> Result<Vec<f32>> {
        /// Elements that one task takes: whole blocks of every type.
        const CHUNK: usize = 1 << 16;
        let chunk_bytes = bytes_for_public(*dtype, CHUNK).expect("blocks have at most 256 elements");
        let mut values = vec![0.0; n];
        values.par_chunks_mut(CHUNK).zip(bytes.par_chunks(chunk_bytes)).try_for_each(|(values, bytes)| {
            let chunk = guarded(|| dequant_typed(*dtype, bytes, values.len(), name));
            let chunk = chunk.map_err(|panic| ModelError::malformed(self.path(), panic))?;
            let chunk = chunk.map_err(|e| ModelError::malformed(self.path(), e))?;
            match dtype {
                GgmlType::MXFP4 => halves_in_order(&chunk, values),
                _ => values.copy_from_slice(&chunk),
            }
            Ok::<(), ModelError>(())
        })?;
        Ok(values)
    }
}

/// Puts blocks of MXFP4 into llama.cpp's order: the lower halves of a block's bytes are its first values, and the upper halves
/// the others. The library gives the two of each byte one after the other.
fn halves_in_order(from: &[f32], to: &mut [f32]) {
    for (from, to) in from.chunks(MXFP4_BLOCK).zip(to.chunks_mut(MXFP4_BLOCK)) {
        let (lower, upper) = to.split_at_mut(from.len() / 2);
        for (nth, byte) in from.chunks(2).enumerate() {
            (lower[nth], upper[nth]) = (byte[0], byte[1]);
        }
    }
}

const BIG_ENDIAN: &str = "its numbers are big-endian, and only little-endian files are read; \
    `gguf-convert-endian FILE little`, of the Python package gguf, converts the file in place";

/// Whether the version, which follows the first four bytes, is a small number in the other byte order.
fn is_big_endian(data: &[u8]) -> bool {
    let version = data.get(4..).and_then(|rest| rest.first_chunk().copied());
    version.is_some_and(|version| u32::from_be_bytes(version) <= 0xffff && u32::from_le_bytes(version) > 0xffff)
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
