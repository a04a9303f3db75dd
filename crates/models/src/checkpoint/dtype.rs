//! Plain floating-point storage to f32.

use half::{bf16, f16};

/// A storage type whose elements stand alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    F32,
    F16,
    BF16,
}

impl Float {
    /// Little-endian bytes, however aligned, to values.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Float::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Float::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            Float::BF16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        }
    }
}
