//! The progress of work: [`Progress`], counted in multiplications.

use stratigraph_core::ModelShape;

/// The progress of a study, a task run or a shard, in units of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Work done.
    pub done: u64,
    /// All of the work.
    pub total: u64,
}

impl Progress {
    /// `done` of `total` units.
    pub fn new(done: u64, total: u64) -> Self {
        Self { done, total }
    }
}

/// About how many multiplications one block takes on `n_tokens` tokens, whatever the model's kind.
pub fn block_work(shape: &ModelShape, n_tokens: usize) -> u64 {
    12 * (n_tokens * shape.d_model * shape.d_model) as u64
}

/// About how many multiplications a pass through every layer takes on `n_tokens` tokens.
pub fn pass_work(shape: &ModelShape, n_tokens: usize) -> u64 {
    shape.n_layers as u64 * block_work(shape, n_tokens)
}

/// About how many multiplications it takes to read the logits of `n_tokens` tokens.
pub fn readout_work(shape: &ModelShape, n_tokens: usize) -> u64 {
    (n_tokens * shape.d_vocab * shape.d_model) as u64
}
