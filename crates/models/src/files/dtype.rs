//! Plain floating-point storage to f32: [`Float`].

use half::{bf16, f16};
use rayon::prelude::*;

/// A storage type in which each element is stored separately, not in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    F32,
    F16,
    BF16,
    /// One bit of sign, four of exponent, three of fraction; NaN is the only value that is not finite.
    F8E4M3,
    /// One bit of sign, five of exponent, two of fraction: the upper half of an f16.
    F8E5M2,
}

/// Elements that one task takes.
const CHUNK: usize = 1 << 16;

impl Float {
    /// Bytes of an element.
    pub(super) fn size(self) -> usize {
        match self {
            Float::F32 => 4,
            Float::F16 | Float::BF16 => 2,
            Float::F8E4M3 | Float::F8E5M2 => 1,
        }
    }

    /// Whether checkpoints store such numbers with a scale for each tensor or block, by which they are to be multiplied.
    pub(super) fn is_usually_scaled(self) -> bool {
        self.size() == 1
    }

    /// Converts little-endian bytes of any alignment to values.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Float::F32 => decode(bytes, f32::from_le_bytes),
            Float::F16 => decode(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Float::BF16 => decode(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Float::F8E4M3 => decode(bytes, |[byte]| from_e4m3(byte)),
            Float::F8E5M2 => decode(bytes, |[byte]| f16::from_le_bytes([0, byte]).to_f32()),
        }
    }
}

/// Micikevicius et al., *FP8 Formats for Deep Learning* (arXiv 2209.05433), table 1.
fn from_e4m3(byte: u8) -> f32 {
    let (exponent, fraction) = (i32::from((byte >> 3) & 0xf), f32::from(byte & 7) / 8.0);
    let size = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => fraction * 2f32.powi(-6),
        _ => (1.0 + fraction) * 2f32.powi(exponent - 7),
    };
    if byte & 0x80 == 0 { size } else { -size }
}

fn decode<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32 + Sync) -> Vec<f32> {
    let (elements, _) = bytes.as_chunks::<N>();
    let mut values = vec![0.0; elements.len()];
    values.par_chunks_mut(CHUNK).zip(elements.par_chunks(CHUNK)).for_each(|(values, elements)| {
        values.iter_mut().zip(elements).for_each(|(to, from)| *to = value(*from));
    });
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bits_are_the_numbers_of_the_paper() {
        // Zero, the smallest and largest subnormal, the smallest normal, one, the largest; and their negatives.
        let e4m3 = [(0x00, 0.0), (0x01, 2f32.powi(-9)), (0x07, 0.875 * 2f32.powi(-6)), (0x08, 2f32.powi(-6))];
        let e4m3 = e4m3.into_iter().chain([(0x38, 1.0), (0x7e, 448.0)]);
        let e5m2 = [(0x00, 0.0), (0x01, 2f32.powi(-16)), (0x03, 0.75 * 2f32.powi(-14)), (0x04, 2f32.powi(-14))];
        let e5m2 = e5m2.into_iter().chain([(0x3c, 1.0), (0x7b, 57344.0), (0x7c, f32::INFINITY)]);
        let pairs = e4m3.map(|pair| (Float::F8E4M3, pair)).chain(e5m2.map(|pair| (Float::F8E5M2, pair)));
        for (float, (byte, expected)) in pairs {
            assert_eq!(float.decode(&[byte, byte | 0x80]), [expected, -expected], "{float:?} {byte:#x}");
        }
        for (float, byte) in [(Float::F8E4M3, 0x7f), (Float::F8E4M3, 0xff), (Float::F8E5M2, 0x7d)] {
            assert!(float.decode(&[byte])[0].is_nan());
        }
    }

    #[test]
    fn eight_bits_grow_with_their_bits() {
        for (float, last) in [(Float::F8E4M3, 0x7e), (Float::F8E5M2, 0x7b)] {
            let values = float.decode(&(0..=last).collect::<Vec<_>>());
            assert!(values.is_sorted_by(|a, b| a < b), "{float:?}");
        }
    }
}
