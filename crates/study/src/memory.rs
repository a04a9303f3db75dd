//! How much memory a run may take: [`Memory`].

use std::fmt;
use std::str::FromStr;

use stratigraph_surgery::Budget;

use crate::{Error, Result};

/// Bytes of memory, as a user writes them: `600MB`, `4GB`, `1.5GiB`, or a plain number.
///
/// ```
/// use stratigraph::Memory;
///
/// let memory: Memory = "4GB".parse()?;
/// assert_eq!(memory.n_bytes(), 4_000_000_000);
/// let budget = memory.budget(2_000_000_000)?; // of weights
/// assert!(budget.bytes > 1_500_000_000);
/// # Ok::<(), stratigraph::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory(usize);

impl Memory {
    /// What a process takes beside weights at least: program, tokenizer, token ids, scores.
    const PROCESS: usize = 150_000_000;

    /// What is left free for what an allocator cannot use.
    const MARGIN: usize = 64_000_000;

    /// So many bytes.
    pub fn new(n_bytes: usize) -> Self {
        Self(n_bytes)
    }

    /// How many bytes it is.
    pub fn n_bytes(self) -> usize {
        self.0
    }

    /// The weights and 1 GB.
    pub fn usual(weights: usize) -> Self {
        Self(weights.saturating_add(1_000_000_000))
    }

    /// What is left for residual streams, activations and logits when the whole process is to stay within this much memory,
    /// `weights` bytes of weights included. Asked once the model and the text are loaded: what the process has taken until
    /// then is taken off, as far as the system tells.
    ///
    /// # Errors
    /// [`Error::MemoryTooSmall`] when nothing is.
    pub fn budget(self, weights: usize) -> Result<Budget> {
        let taken = (weights + Self::PROCESS).max(resident().unwrap_or(0)) + Self::MARGIN;
        match self.0.checked_sub(taken) {
            Some(bytes) if bytes > 0 => Ok(Budget { bytes, ..Budget::default() }),
            _ => Err(Error::MemoryTooSmall { memory: self, needed: Memory(taken) }),
        }
    }
}

/// Bytes of this process that are in memory; only Linux tells.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? * 1024)
}

const UNITS: [(&str, f64); 8] = [
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("", 1.0),
];

impl FromStr for Memory {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |(unit, bytes): (&str, f64)| Some(text.strip_suffix(unit)?.trim().parse::<f64>().ok()? * bytes);
        match UNITS.into_iter().find_map(number) {
            Some(bytes) if bytes >= 1.0 && bytes < usize::MAX as f64 => Ok(Self(bytes as usize)),
            _ => Err(Error::NotMemory { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        if bytes < 1e9 { write!(f, "{:.0} MB", bytes / 1e6) } else { write!(f, "{:.2} GB", bytes / 1e9) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [("600MB", 600_000_000), ("1.5 GiB", 1_610_612_736), ("7", 7), ("2KB", 2000)] {
            assert_eq!(text.parse::<Memory>().unwrap(), Memory(bytes), "{text}");
        }
        for text in ["", "GB", "-1GB", "0", "much", "nan", "inf"] {
            assert!(matches!(text.parse::<Memory>(), Err(Error::NotMemory { .. })), "{text}");
        }
    }

    #[test]
    fn weights_that_do_not_fit_are_an_error() {
        let refused = Memory::new(1_000_000_000).budget(1_000_000_000);
        assert!(matches!(refused, Err(Error::MemoryTooSmall { .. })));
    }
}
