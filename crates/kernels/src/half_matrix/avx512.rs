//! Blocks of products on the vector registers of AVX-512: [`block`].

#![allow(unsafe_code)]

use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps, _mm512_set1_epi32, _mm512_setzero_ps};
use std::mem::transmute;

use super::{Factors, LINE, Line, SIDE};

/// Rows that are summed up at once, each in two registers.
const ROWS: usize = 8;

/// Whether the CPU multiplies bfloat16 in vector registers, and the system saves these.
pub(super) fn is_available() -> bool {
    std::is_x86_feature_detected!("avx512bf16") && std::is_x86_feature_detected!("avx512f")
}

/// Writes the products of 32 rows and 32 columns to `out`, whose rows are `width` numbers apart.
pub(super) fn block(factors: Factors, out: &mut [f32], width: usize) {
    assert!(is_available(), "AVX512-BF16 is not available");
    let n_steps = factors.n_steps(out, width);
    let tile = n_steps * SIDE;
    let (left, right) = factors.panels.split_at(tile);
    for (rows, out) in factors.rows.chunks_exact(tile).zip(out.chunks_mut(SIDE * width)) {
        for (first, out) in (0..SIDE).step_by(ROWS).zip(out.chunks_mut(ROWS * width)) {
            // SAFETY: `is_available` has found that the CPU has what `products` is compiled for.
            let sums = unsafe { products(&rows[first..], [left, right]) };
            for (row, sums) in out.chunks_mut(width).zip(sums) {
                row[..2 * SIDE].copy_from_slice(sums.as_flattened());
            }
        }
    }
}

/// The products of 8 rows, those that begin with the first 8 of each 16 lines, and the columns of two panels.
#[target_feature(enable = "avx512f,avx512bf16")]
fn products(rows: &[Line], [left, right]: [&[Line]; 2]) -> [[[f32; SIDE]; 2]; ROWS] {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    let steps = left.chunks_exact(SIDE).zip(right.chunks_exact(SIDE));
    for (step, (left, right)) in steps.enumerate() {
        let Some(rows) = rows[step * SIDE..].first_chunk::<ROWS>() else { unreachable!("a tile has whole steps") };
        for (pair, (left, right)) in left.iter().zip(right).enumerate() {
            let columns = [vector(left), vector(right)];
            for (row, sums) in rows.iter().zip(&mut sums) {
                let [low, high] = [row.0[2 * pair], row.0[2 * pair + 1]].map(u32::from);
                let row = broadcast(low | high << 16);
                *sums = [0, 1].map(|half| _mm512_dpbf16_ps(sums[half], row, columns[half]));
            }
        }
    }
    // SAFETY: both are 256 numbers of f32 without padding.
    unsafe { transmute::<[[__m512; 2]; ROWS], [[[f32; SIDE]; 2]; ROWS]>(sums) }
}

#[target_feature(enable = "avx512f")]
fn vector(line: &Line) -> __m512bh {
    // SAFETY: both are 64 bytes, and every pattern of bits is a number of bfloat16.
    unsafe { transmute::<[u16; LINE], __m512bh>(line.0) }
}

#[target_feature(enable = "avx512f")]
fn broadcast(pair: u32) -> __m512bh {
    // SAFETY: as above.
    unsafe { transmute(_mm512_set1_epi32(pair as i32)) }
}
