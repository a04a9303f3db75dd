//! Plain floating-point storage to f32.

use half::{bf16, f16};
use rayon::prelude::*;

/// A storage type in which each element is stored separately, not in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    F32,
    F16,
    BF16,
}

/// Elements that one task takes.
const CHUNK: usize = 1 << 16;

impl Float {
    /// Bytes of an element.
    pub(super) fn size(self) -> usize {
        match self {
            Float::F32 => 4,
            Float::F16 | Float::BF16 => 2,
        }
    }

    /// Converts little-endian bytes of any alignment to values.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Float::F32 => decode(bytes, f32::from_le_bytes),
            Float::F16 => decode(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Float::BF16 => decode(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        }
    }
}

fn decode<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32 + Sync) -> Vec<f32> {
    let (elements, _) = bytes.as_chunks::<N>();
    let mut values = vec![0.0; elements.len()];
    values.par_chunks_mut(CHUNK).zip(elements.par_chunks(CHUNK)).for_each(|(values, elements)| {
        values.iter_mut().zip(elements).for_each(|(to, from)| *to = value(*from));
    });
    values
}
