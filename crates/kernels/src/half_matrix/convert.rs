//! Between f32 and 16-bit numbers: [`HalfFormat`].

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};

use super::{LINE, Line, SIDE};
use crate::for_best_cpu;

/// A format of 16-bit numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HalfFormat {
    /// bfloat16: 8 significant bits, the range of f32.
    Bf16,
    /// IEEE's half precision: 11 significant bits, values up to 65,504.
    F16,
}

impl HalfFormat {
    /// The bits of a number, rounded to nearest, ties to even.
    pub(super) fn bits(self, x: f32) -> u16 {
        match self {
            HalfFormat::Bf16 => bf16::from_f32(x).to_bits(),
            HalfFormat::F16 => f16::from_f32(x).to_bits(),
        }
    }

    /// Rounds numbers to this format; what is too large for it becomes infinite.
    pub fn round(self, numbers: &mut [f32]) {
        match self {
            HalfFormat::Bf16 => rounded(numbers),
            HalfFormat::F16 => numbers.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32()),
        }
    }

    /// The numbers of as many bits.
    pub(super) fn numbers(self, bits: &[u16], numbers: &mut [f32]) {
        match self {
            HalfFormat::Bf16 => widened(bits, numbers),
            HalfFormat::F16 => bits.reinterpret_cast::<f16>().convert_to_f32_slice(numbers),
        }
    }
}

for_best_cpu! {
    fn widened(bits: &[u16], numbers: &mut [f32]) -> () {
        for (number, &bits) in numbers.iter_mut().zip(bits) {
            *number = f32::from_bits(u32::from(bits) << 16);
        }
    }
}

for_best_cpu! {
    /// Writes a row to the first of each 16 lines of a tile, rounded to bfloat16, with zeros after it.
    pub(super) fn round_row(row: &[f32], lines: &mut [Line]) -> () {
        for (numbers, lines) in row.chunks(LINE).zip(lines.chunks_mut(SIDE)) {
            let mut padded = [0.0; LINE];
            padded[..numbers.len()].copy_from_slice(numbers);
            padded.into_iter().zip(&mut lines[0].0).for_each(|(x, bits)| *bits = bfloat16(x));
        }
    }
}

for_best_cpu! {
    /// Rounds numbers to bfloat16.
    fn rounded(numbers: &mut [f32]) -> () {
        numbers.iter_mut().for_each(|x| *x = f32::from_bits(u32::from(bfloat16(*x)) << 16));
    }
}

/// The bits of a number as bfloat16, rounded to nearest, ties to even; without a branch, for loops that vectorise.
#[inline(always)]
fn bfloat16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // NaN stays NaN.
    (if x.is_nan() { bits | 0x40_0000 } else { rounded } >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_as_in_the_library() {
        let special = [0.0, -0.0, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, 1e-40];
        let others = (0..100_000u32).map(|i| f32::from_bits(i.wrapping_mul(2_654_435_761)));
        for x in special.into_iter().chain(others) {
            let found = bfloat16(x);
            assert!(found == bf16::from_f32(x).to_bits() || x.is_nan() && bf16::from_bits(found).is_nan(), "{x}");
        }
    }

    #[test]
    fn a_row_is_rounded_to_its_lines() {
        let mut row: Vec<f32> = (1..50).map(|i| (i as f32 * 0.7).sin() * 100.0).collect();
        let mut lines = vec![Line::ZEROS; 2 * SIDE];
        round_row(&row, &mut lines[3..]);
        HalfFormat::Bf16.round(&mut row);
        for (i, x) in row.into_iter().enumerate() {
            assert_eq!(bf16::from_bits(lines[i / LINE * SIDE + 3].0[i % LINE]).to_f32(), x);
        }
        assert_eq!(lines[SIDE + 3].0[50 - LINE..], [0; 2 * LINE - 50]);
        assert_eq!(lines[2 * SIDE - 1], Line::ZEROS);
    }
}
