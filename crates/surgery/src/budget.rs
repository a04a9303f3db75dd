//! How much memory a run may take: [`Budget`], and how the run is cut to fit it.

use burn::tensor::Device;
use stratigraph_core::{ModelShape, ResidualModel, WorkerPools, is_host_device};

use crate::{Result, SurgeryError};

/// How much memory a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of residual streams and activations held at once, the weights not counted. 640 MiB by default.
    pub bytes: usize,
    /// Bytes of the widest activation up to which several windows or states go through a layer together; one window
    /// always runs. 128 MiB by default, which is the largest buffer that every graphics adapter grants;
    /// [`DeviceLimits::largest_tensor`](stratigraph_core::DeviceLimits::largest_tensor) has what a device grants.
    pub largest_tensor_bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: 640 << 20, largest_tensor_bytes: 128 << 20 }
    }
}

/// What suits a device: tokens of a batch of windows and of one call of a block, enough to keep matrix products busy, few enough for
/// the caches of a CPU; and how many calls run at once.
#[derive(Debug, Clone, Copy)]
struct Suited {
    batch: usize,
    call: usize,
    pools: usize,
}

impl Suited {
    /// One call keeps the device busy.
    const DEVICE: Self = Self { batch: 4096, call: 8192, pools: 1 };

    fn to(device: &Device) -> Self {
        // On a CPU each pool runs a call of its own.
        let cpu = Self { batch: 4096, call: 512, pools: WorkerPools::n_suited(device) };
        if is_host_device(device) { cpu } else { Self::DEVICE }
    }
}

/// Activations of the widest kind that are alive inside a block at once.
const WIDE_ACTIVATIONS: usize = 8;

/// How many rounds of calls run without waiting for each other, if there is memory: a pool that is done first waits for the
/// others only at their end.
const ROUNDS: usize = 8;

/// How many ended streams are handed on together, if not all are: the unchanged model is read out once for each
/// group. In addition to one state per layer, twice this many states wait, which keeps calls full. Where blocks are read from disk,
/// as many wait as there is memory for.
const GROUP: usize = 16;

/// How one run fits its budget, and where it runs.
pub(crate) struct Fit {
    pub(crate) sizes: Sizes,
    pub(crate) pools: WorkerPools,
}

/// How one run is cut to fit its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Windows in a batch.
    pub(crate) n_sequences: usize,
    /// How many states may wait or have ended before those furthest along run to their end.
    pub(crate) most_states: usize,
    /// How many streams that have ended are handed on together at least, while others wait.
    pub(crate) group: usize,
    /// States that are on their way through a step at once: as many as full calls take, where there are more than those of one.
    pub(crate) states_per_round: usize,
    /// Windows that go through a block in one call.
    pub(crate) windows_per_call: usize,
    /// Calls that run at once.
    pub(crate) n_pools: usize,
}

/// A corpus, or the longest part of one that runs alone.
#[derive(Debug, Clone, Copy)]
struct Part {
    n_sequences: usize,
    seq_len: usize,
}

/// What a run keeps of each window.
pub(crate) struct Kept {
    /// Residual streams at most, one for each intervention.
    pub(crate) states: usize,
    /// Steps of the longest intervention.
    pub(crate) depth: usize,
    /// Bytes of what edits take from the corpus.
    pub(crate) corpus: usize,
}

impl Kept {
    /// How many states may wait or have ended before those furthest along run to their end.
    fn most_states(&self, group: usize) -> usize {
        self.depth + 2 * group
    }

    /// Bytes of a window whose states take `state` bytes each. Those that run to their end leave at most one behind in each layer;
    /// in addition, the sink holds the stream of the first intervention.
    fn bytes(&self, group: usize, state: usize) -> usize {
        state * (self.states.min(self.most_states(group) + self.depth) + 1) + self.corpus
    }
}

impl Budget {
    /// How many windows of `seq_len` tokens fit in it at once in a plain run of a model, where `kept` bytes of each are held
    /// beside the activations of one block.
    ///
    /// ```
    /// use stratigraph_core::ModelShape;
    /// use stratigraph_surgery::Budget;
    ///
    /// let (budget, shape) = (Budget { bytes: 1 << 20, ..Budget::default() }, ModelShape::new(2, 64, 1000));
    /// assert_eq!(budget.windows_at_once(&shape, 16, 0)?, 8); // eight activations of 4 * 64 numbers at 16 positions
    /// assert!(budget.windows_at_once(&shape, 16, 1 << 20).is_err());
    /// # Ok::<(), stratigraph_surgery::SurgeryError>(())
    /// ```
    ///
    /// # Errors
    /// [`SurgeryError::BudgetTooSmall`] when it is too small for one window.
    pub fn windows_at_once(self, shape: &ModelShape, seq_len: usize, kept: usize) -> Result<usize> {
        let inside = WIDE_ACTIVATIONS * shape.widest_activation(seq_len) * seq_len * size_of::<f32>();
        match self.bytes / (kept + inside).max(1) {
            0 => Err(SurgeryError::BudgetTooSmall { budget: self.bytes, needed: kept + inside }),
            n => Ok(n),
        }
    }

    /// Divides the budget for a run on `n_sequences` windows of `seq_len` tokens.
    pub(crate) fn fit(self, model: &dyn ResidualModel, seq_len: usize, n_sequences: usize, kept: Kept) -> Result<Fit> {
        let suited = Suited::to(&model.device());
        let sizes = self.sizes(&model.shape(), suited, Part { n_sequences, seq_len }, kept)?;
        Ok(Fit { sizes, pools: WorkerPools::new(sizes.n_pools) })
    }

    /// Divides the budget: first the states, then the activations of calls.
    fn sizes(self, shape: &ModelShape, suited: Suited, part: Part, kept: Kept) -> Result<Sizes> {
        let Part { n_sequences, seq_len } = part;
        let state = seq_len * shape.d_model.max(1) * size_of::<f32>();
        let widest = seq_len * shape.widest_activation(seq_len).max(1) * size_of::<f32>();
        let inside = widest * WIDE_ACTIVATIONS + 2 * state; // of a window in a call
        let Budget { bytes, largest_tensor_bytes } = self;
        let needed = |group: usize| kept.bytes(group, state) + inside;
        let largest = if shape.streams_blocks { kept.states.max(GROUP) } else { GROUP };
        let Some(group) = (1..=largest).rev().find(|&group| needed(group) <= bytes) else {
            return Err(SurgeryError::BudgetTooSmall { budget: bytes, needed: needed(1) });
        };
        let (most_states, needed, kept) = (kept.most_states(group), needed(group), kept.bytes(group, state));
        let most = (bytes / needed).min(suited.batch.div_ceil(seq_len)).min(largest_tensor_bytes / widest);
        let n_sequences = evenly(n_sequences, most.max(1));
        let in_calls = (bytes - n_sequences * kept) / inside; // windows
        let n_pools = suited.pools.min(in_calls).max(1);
        let by_size = suited.call.div_ceil(seq_len).min(largest_tensor_bytes / widest);
        let windows_per_call = (in_calls / n_pools).min(by_size).max(1);
        let at_once = n_pools * windows_per_call;
        let full = (at_once / n_sequences).max(1); // states of a round of full calls
        // The results of a round, and its parts before they are joined.
        let left = bytes - n_sequences * kept - at_once * inside;
        let states_per_round = (full + left / (2 * state * n_sequences)).min(ROUNDS * full) / full * full;
        Ok(Sizes { n_sequences, most_states, group, states_per_round, windows_per_call, n_pools })
    }
}

/// The size of batches of at most `most` of `n`, no more than needed and as even as can be.
fn evenly(n: usize, most: usize) -> usize {
    n.max(1).div_ceil(n.max(1).div_ceil(most))
}

#[cfg(test)]
mod tests;
