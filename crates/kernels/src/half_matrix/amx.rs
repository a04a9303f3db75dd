//! Blocks of products on the tile registers of AMX: [`Tiles`].
//!
//! Rust has no stable intrinsics of AMX, so its instructions are inline assembly here.

#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::marker::PhantomData;
use std::sync::OnceLock;

use super::{Factors, Line, SIDE};

/// Bytes of a line, and of a tile.
const LINE_BYTES: usize = size_of::<Line>();
const TILE_BYTES: usize = SIDE * LINE_BYTES;

/// Whether the CPU multiplies bfloat16 in tiles and Linux gives this process tile registers, for which it is asked once.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_amx_bf16() && ask_for_tiles())
}

/// CPUID's bits for AMX-BF16 and AMX-TILE.
fn has_amx_bf16() -> bool {
    const AMX: u32 = 1 << 22 | 1 << 24;
    std::is_x86_feature_detected!("avx512f") && __cpuid_count(7, 0).edx & AMX == AMX
}

/// Asks Linux to let the threads of this process use tile registers. It refuses where it, or the CPU, does not support them.
fn ask_for_tiles() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILEDATA: i64 = 18;
    let result: i64;
    // SAFETY: this system call reads and writes no memory of the process. `syscall` itself overwrites rax, rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// The operand of `ldtilecfg`: palette 1, and eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Config([u8; 64]);

static CONFIG: Config = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = LINE_BYTES as u8;
        bytes[48 + tile] = SIDE as u8;
        tile += 1;
    }
    Config(bytes)
};

/// Tile registers of this thread, which are given back at the end.
pub(super) struct Tiles {
    /// They are a thread's own: the type may not go to another.
    _of_thread: PhantomData<*const ()>,
}

impl Tiles {
    /// Configures them; the caller has made sure that AMX [is available](is_available).
    pub(super) fn configure() -> Self {
        assert!(is_available(), "AMX is not available");
        // SAFETY: the line above has made sure that CPU and system allow the instruction. It reads 64 bytes, which CONFIG has.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, readonly, preserves_flags)) };
        Self { _of_thread: PhantomData }
    }

    /// Writes the products of 32 rows and 32 columns to `out`, whose rows are `width` numbers apart.
    pub(super) fn block(&self, factors: Factors, out: &mut [f32], width: usize) {
        let n_steps = factors.n_steps(out, width);
        if n_steps == 0 {
            return;
        }
        let [rows, panels] = [factors.rows, factors.panels].map(|lines| lines.as_ptr().cast::<u8>());
        let (out, row_bytes) = (out.as_mut_ptr().cast::<u8>(), width * size_of::<f32>());
        let half = n_steps * TILE_BYTES;
        // SAFETY: `configure` has found AMX and configured every tile as 16 rows of 64 bytes for this thread, which `self` does
        // not leave, and nothing else in the process changes that before `self` is dropped: compilers do not use tiles. `n_steps` has checked
        // that each of the two slices has `2 * n_steps` tiles of 1,024 bytes, of which each step reads the next one of both halves, and
        // that `out` has 32 rows of 32 numbers that are `row_bytes` apart; the four stores write these and no more. All
        // registers that are written are outputs.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{panel_0} + {line}*1]",
                "tileloadd tmm6, [{rows_0} + {line}*1]",
                "tileloadd tmm5, [{panel_1} + {line}*1]",
                "tileloadd tmm7, [{rows_1} + {line}*1]",
                "tdpbf16ps tmm0, tmm6, tmm4",
                "tdpbf16ps tmm1, tmm6, tmm5",
                "tdpbf16ps tmm2, tmm7, tmm4",
                "tdpbf16ps tmm3, tmm7, tmm5",
                "add {panel_0}, {tile}",
                "add {panel_1}, {tile}",
                "add {rows_0}, {tile}",
                "add {rows_1}, {tile}",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{out_0} + {row}*1], tmm0",
                "tilestored [{out_0} + {row}*1 + {line_bytes}], tmm1",
                "tilestored [{out_1} + {row}*1], tmm2",
                "tilestored [{out_1} + {row}*1 + {line_bytes}], tmm3",
                tile = const TILE_BYTES,
                line_bytes = const LINE_BYTES,
                line = in(reg) LINE_BYTES,
                row = in(reg) row_bytes,
                steps = inout(reg) n_steps => _,
                panel_0 = inout(reg) panels => _,
                panel_1 = inout(reg) panels.add(half) => _,
                rows_0 = inout(reg) rows => _,
                rows_1 = inout(reg) rows.add(half) => _,
                out_0 = in(reg) out,
                out_1 = in(reg) out.add(SIDE * row_bytes),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: there is a `Tiles`, so AMX is available. The instruction clears this thread's tiles, which nobody else uses.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}
