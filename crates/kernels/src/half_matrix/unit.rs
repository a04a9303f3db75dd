//! The instructions that multiply numbers of bfloat16: [`Bfloat16Unit`].

use std::sync::OnceLock;

use super::Factors;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::amx;
#[cfg(target_arch = "x86_64")]
use super::avx512;

/// Instructions of a CPU that multiply numbers of bfloat16 and add up in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bfloat16Unit {
    /// `tdpbf16ps`, on the tile registers of AMX; under Linux.
    Amx,
    /// `vdpbf16ps`, on the vector registers of AVX-512.
    Avx512,
}

impl Bfloat16Unit {
    /// The unit with which products take less time than in f32, where this CPU has one. Intel's CPUs take four times as long
    /// for `vdpbf16ps` as for a multiplication in f32 (measured on Granite Rapids), so that there AMX alone is worth it.
    pub fn fastest() -> Option<Self> {
        static FOUND: OnceLock<Option<Bfloat16Unit>> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let avx512 = Self::Avx512.is_available() && !is_intel();
            Self::Amx.is_available().then_some(Self::Amx).or(avx512.then_some(Self::Avx512))
        })
    }

    /// Whether this CPU has it, and the system lets programs use it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx => amx::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::is_available(),
            #[allow(unreachable_patterns)] // on other machines
            _ => false,
        }
    }

    /// Readies this thread for blocks.
    ///
    /// # Panics
    /// When the unit is not [available](Bfloat16Unit::is_available).
    pub(super) fn session(self) -> Session {
        assert!(self.is_available(), "this CPU has no {self:?}");
        match self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx => Session::Amx(amx::Tiles::configure()),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Session::Avx512,
            #[allow(unreachable_patterns)]
            _ => unreachable!("it is not available"),
        }
    }
}

/// A unit that computes blocks on this thread.
pub(super) enum Session {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Amx(amx::Tiles),
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Session {
    /// Writes the products of 32 rows and 32 columns to `out`, whose rows are `width` numbers apart.
    pub(super) fn block(&self, factors: Factors, out: &mut [f32], width: usize) {
        match self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx(tiles) => tiles.block(factors, out, width),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::block(factors, out, width),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

#[cfg(not(target_arch = "x86_64"))]
fn is_intel() -> bool {
    false
}
