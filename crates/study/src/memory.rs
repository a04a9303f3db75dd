//! How much memory a run may take: [`Memory`].

use std::fmt;
use std::str::FromStr;

use stratigraph_core::DeviceLimits;
use stratigraph_surgery::Budget;

use crate::{Result, StudyError};

/// A limit of memory, as a user writes it: `600MB`, `4GB`, `1.5GiB`, or a plain number of bytes.
///
/// A limit that the user sets is for the whole process: weights, what a run takes, and whatever else the program holds.
/// The [default](Memory::usual) is for the weights and the run alone, so that a large text in memory does not use it
/// up. On a GPU a limit is [of the device's memory](Memory::of_device), which has nothing to do with the process.
///
/// ```
/// use stratigraph_study::Memory;
///
/// let memory: Memory = "4GB".parse()?;
/// assert_eq!(memory.n_bytes(), 4_000_000_000);
/// let weights = 2_000_000_000;
/// assert!(memory.budget(weights)?.bytes > 1_500_000_000);
/// assert_eq!(Memory::usual(weights).budget(weights)?.bytes, 786_000_000);
/// # Ok::<(), stratigraph_study::StudyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    n_bytes: usize,
    covers: Covers,
}

/// What a limit covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Covers {
    Process,
    WeightsAndRun,
    /// A device's own memory, all of it.
    Device,
    /// The weights and the run on a device, whose memory is not known.
    RunOnDevice,
}

impl Memory {
    /// What a process takes at least, without weights: program, tokenizer, token ids, scores.
    const PROCESS: usize = 150_000_000;

    /// Memory that the allocator cannot use.
    const MARGIN: usize = 64_000_000;

    /// One part in this many of a device's memory is left free: for pages that burn's allocator has filled in part, and for other
    /// programs.
    const DEVICE_MARGIN: usize = 8;

    /// A limit of `n_bytes` for the whole process.
    pub fn new(n_bytes: usize) -> Self {
        Self { n_bytes, covers: Covers::Process }
    }

    /// The default for a model of `weights` bytes: the weights and 1 GB, whatever else the process holds. The budget is
    /// the same in every process, and so are the batches and the rounding of the results.
    pub fn usual(weights: usize) -> Self {
        Self { n_bytes: weights.saturating_add(1_000_000_000), covers: Covers::WeightsAndRun }
    }

    /// The same number of bytes as a limit of a device's own memory.
    pub fn of_device(self) -> Self {
        Self { covers: Covers::Device, ..self }
    }

    /// The default on a device of these limits for a model of `weights` bytes: all of its memory where it says how much that is,
    /// otherwise the weights and an eighth of them, or at least 1 GB.
    ///
    /// ```
    /// use stratigraph_core::DeviceLimits;
    /// use stratigraph_study::Memory;
    ///
    /// let (weights, card) = (27_000_000_000, DeviceLimits::new(None, Some(80_000_000_000)));
    /// assert_eq!(Memory::usual_on(card, weights).budget(weights)?.bytes, 43_000_000_000); // an eighth is left free
    /// let unknown = Memory::usual_on(DeviceLimits::default(), weights);
    /// assert_eq!(unknown.budget(weights)?.bytes, 3_375_000_000);
    /// # Ok::<(), stratigraph_study::StudyError>(())
    /// ```
    pub fn usual_on(limits: DeviceLimits, weights: usize) -> Self {
        match limits.memory {
            Some(n_bytes) => Self { n_bytes, covers: Covers::Device },
            None => {
                let taken = weights.saturating_add((weights / 8).max(1_000_000_000));
                Self { n_bytes: taken, covers: Covers::RunOnDevice }
            }
        }
    }

    /// How many bytes it is.
    pub fn n_bytes(self) -> usize {
        self.n_bytes
    }

    /// What is left for residual streams, activations and logits beside `weights` bytes of weights. Call it when the
    /// model and the text are loaded: a limit for the whole process is reduced by what the process holds by then, where
    /// the system reports it.
    ///
    /// # Errors
    /// [`StudyError::MemoryTooSmall`] when nothing is left.
    pub fn budget(self, weights: usize) -> Result<Budget> {
        match self.covers {
            Covers::Process => self.budget_beside(weights, resident().unwrap_or(0)),
            Covers::WeightsAndRun => self.budget_beside(weights, 0),
            Covers::RunOnDevice => self.left_of(weights),
            Covers::Device => self.left_of(weights.saturating_add(self.n_bytes / Self::DEVICE_MARGIN)),
        }
    }

    /// As [`budget`](Memory::budget), in a process that holds `held` bytes, weights included.
    fn budget_beside(self, weights: usize, held: usize) -> Result<Budget> {
        self.left_of(weights.saturating_add(Self::PROCESS).max(held).saturating_add(Self::MARGIN))
    }

    fn left_of(self, taken: usize) -> Result<Budget> {
        match self.n_bytes.checked_sub(taken) {
            Some(bytes) if bytes > 0 => Ok(Budget { bytes, ..Budget::default() }),
            _ => Err(StudyError::MemoryTooSmall { memory: self, needed: Memory::new(taken) }),
        }
    }
}

/// Bytes of this process that are in memory; known on Linux alone.
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
    type Err = StudyError;

    fn from_str(text: &str) -> Result<Self> {
        let number = |(unit, bytes): (&str, f64)| Some(text.strip_suffix(unit)?.trim().parse::<f64>().ok()? * bytes);
        match UNITS.into_iter().find_map(number) {
            Some(bytes) if bytes >= 1.0 && bytes < usize::MAX as f64 => Ok(Self::new(bytes as usize)),
            _ => Err(StudyError::NotMemory { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.n_bytes as f64;
        if bytes < 1e9 { write!(f, "{:.0} MB", bytes / 1e6) } else { write!(f, "{:.2} GB", bytes / 1e9) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [("600MB", 600_000_000), ("1.5 GiB", 1_610_612_736), ("7", 7), ("2KB", 2000)] {
            assert_eq!(text.parse::<Memory>().unwrap(), Memory::new(bytes), "{text}");
        }
        for text in ["", "GB", "-1GB", "0", "much", "nan", "inf"] {
            assert!(matches!(text.parse::<Memory>(), Err(StudyError::NotMemory { .. })), "{text}");
        }
    }

    #[test]
    fn weights_that_do_not_fit_are_an_error() {
        let error = Memory::new(100_000_000).budget(200_000_000).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("a limit of 100 MB is too low: the weights and the program take "), "{text}");
    }

    #[test]
    fn a_limit_of_the_process_shrinks_with_what_it_holds() {
        let limit = Memory::new(2_000_000_000);
        assert_eq!(limit.budget_beside(500_000_000, 0).unwrap().bytes, 1_286_000_000);
        assert_eq!(limit.budget_beside(500_000_000, 1_500_000_000).unwrap().bytes, 436_000_000);
        assert!(matches!(limit.budget_beside(500_000_000, 1_936_000_000), Err(StudyError::MemoryTooSmall { .. })));
    }

    #[test]
    fn the_default_does_not_depend_on_what_the_process_holds() {
        let before = Memory::usual(1000).budget(1000).unwrap();
        let text = std::hint::black_box(vec![1u8; 300 << 20]); // more than the allowance for a process
        assert_eq!(Memory::usual(1000).budget(1000).unwrap(), before);
        drop(text);
    }
}
