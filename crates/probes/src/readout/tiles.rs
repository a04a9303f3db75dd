//! How much of the logits is held at once: [`Tiles`].

use burn::tensor::Device;
use stratigraph_core::{ResidualModel, is_host_device};

/// How much of `[row, vocabulary]` is held at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiles {
    /// Rows (positions) in a tile.
    pub rows: usize,
    /// Tokens of the vocabulary in a chunk.
    pub vocab: usize,
}

impl Tiles {
    /// Tiles of a usual size for a model: 2 MiB on a CPU, which its caches hold for every core, and 128 MiB on any other device,
    /// which every graphics adapter grants.
    pub fn usual(model: &dyn ResidualModel) -> Self {
        Self::fitting(model.d_vocab(), usual_bytes(&model.device()))
    }

    /// Tiles of at most `bytes` of logits each. Matrix products want many rows and many tokens: there are 512 rows at
    /// least where that leaves as many tokens, and more where all of the vocabulary fits beside them.
    pub fn fitting(d_vocab: usize, bytes: usize) -> Self {
        const ROWS: usize = 512;
        let elements = (bytes / size_of::<f32>()).max(1);
        let rows = (elements / d_vocab).max(ROWS.min(elements.isqrt()));
        Self { rows, vocab: (elements / rows).clamp(1, d_vocab) }
    }
}

/// Bytes of a tile of a usual size.
pub(crate) fn usual_bytes(device: &Device) -> usize {
    if is_host_device(device) { 2 << 20 } else { 128 << 20 }
}
