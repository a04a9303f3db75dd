//! A decoder whose blocks stay on disk: [`StreamedDecoder`].

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{panic, thread};

use burn::tensor::{Device, Int, Tensor};
use rayon::{ThreadPool, ThreadPoolBuilder};
use stratigraph_core::{
    CoreError, IncrementalModel, ModelShape, ModelWeights, ResidualModel, Result as CoreResult, Site, Tap,
    is_host_device,
};

use super::Decoder;
use super::block::Block;
use crate::{Checkpoint, DecoderConfig, LoadOptions, Result};

/// Blocks held in memory: a swap alternates between a layer and its neighbour.
const HELD: usize = 2;

/// A decoder that reads each block from its checkpoint when it runs, and holds the last two.
///
/// Embedding, unembedding and norms are in memory. A run that takes many states through a layer before it goes on to the
/// next, as an executor of `stratigraph-surgery` does, reads each block once for a batch of windows.
///
/// ```no_run
/// # use burn::tensor::Device;
/// # use stratigraph_models::Checkpoint;
/// let model = Checkpoint::open("Llama-3.2-3B")?.stream(&Device::default())?;
/// println!("{} bytes are held", model.n_bytes());
/// # Ok::<(), stratigraph_models::ModelError>(())
/// ```
pub struct StreamedDecoder {
    checkpoint: Checkpoint,
    options: LoadOptions,
    device: Device,
    /// The decoder without its blocks.
    trunk: Decoder,
    /// The oldest first.
    held: Mutex<VecDeque<(usize, Arc<Block>)>>,
    largest_block: usize,
    n_reads: AtomicUsize,
    /// Threads that only read blocks, where these are in the host's memory.
    readers: Option<ThreadPool>,
}

impl StreamedDecoder {
    pub(crate) fn new(checkpoint: Checkpoint, options: LoadOptions, device: &Device) -> Result<Self> {
        let mut largest_block = 0;
        let trunk = checkpoint.read(|params| {
            let trunk = Decoder::build(checkpoint.config(), 0, params, &options, device)?;
            // Each block is read once and dropped, so that a damaged checkpoint is found now.
            for layer in 0..checkpoint.config().n_layers {
                let block = Decoder::build_block(checkpoint.config(), layer, params, &options, device)?;
                largest_block = largest_block.max(block.n_bytes());
            }
            Ok(trunk)
        })?;
        let (held, n_reads) = (Mutex::default(), AtomicUsize::new(0));
        let pool = || ThreadPoolBuilder::new().num_threads(rayon::current_num_threads()).build().ok();
        let readers = is_host_device(device).then(pool).flatten();
        Ok(Self { checkpoint, options, device: device.clone(), trunk, held, largest_block, n_reads, readers })
    }

    /// The decoder without its blocks.
    pub(super) fn trunk(&self) -> &Decoder {
        &self.trunk
    }

    /// The configuration.
    pub fn config(&self) -> &DecoderConfig {
        self.checkpoint.config()
    }

    /// Bytes of weights that are in memory at once.
    pub fn n_bytes(&self) -> usize {
        self.trunk.n_bytes() + HELD * self.largest_block
    }

    /// How many times a block was read since the checkpoint was opened and checked.
    pub fn n_reads(&self) -> usize {
        self.n_reads.load(Ordering::Relaxed)
    }

    /// The block of a layer. A caller waits while another thread reads it.
    pub(super) fn block_at(&self, layer: usize) -> CoreResult<Arc<Block>> {
        let n_layers = self.config().n_layers;
        if layer >= n_layers {
            return Err(CoreError::LayerOutOfRange { layer, n_layers });
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = held.iter().find(|(other, _)| *other == layer) {
            return Ok(block.clone());
        }
        if held.len() == HELD {
            held.pop_front();
        }
        self.n_reads.fetch_add(1, Ordering::Relaxed);
        let read = self.read(layer);
        let block = Arc::new(read.map_err(|error| CoreError::LayerFailed { layer, reason: error.to_string() })?);
        held.push_back((layer, block.clone()));
        Ok(block)
    }

    /// Reads a block, on a CPU in threads that do nothing else. A thread of the caller's pool that waits for a part of the block
    /// would take up other work of that pool, and wait for itself if that needs a block.
    fn read(&self, layer: usize) -> Result<Block> {
        let read = || self.checkpoint.read_block(layer, &self.options, &self.device);
        match &self.readers {
            Some(readers) => {
                let read = thread::scope(|scope| scope.spawn(|| readers.install(read)).join());
                read.unwrap_or_else(|payload| panic::resume_unwind(payload))
            }
            None => read(),
        }
    }
}

impl ResidualModel for StreamedDecoder {
    fn shape(&self) -> ModelShape {
        self.trunk.shape().with_streamed_blocks()
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> CoreResult<Tensor<3>> {
        self.trunk.embed(tokens)
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> CoreResult<Tensor<3>> {
        self.block_at(site.layer)?.forward(site, resid, tap)
    }

    fn final_norm(&self, rows: Tensor<2>) -> CoreResult<Tensor<2>> {
        self.trunk.final_norm(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
        self.trunk.unembed(normed, vocab)
    }

    fn weights(&self) -> Option<&dyn ModelWeights> {
        Some(self)
    }

    fn incremental(&self) -> Option<&dyn IncrementalModel> {
        Some(self)
    }
}

impl ModelWeights for StreamedDecoder {
    fn w_out(&self, layer: usize) -> CoreResult<Tensor<2>> {
        Ok(self.block_at(layer)?.w_out())
    }

    fn w_u(&self, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
        self.trunk.w_u(vocab)
    }

    fn final_norm_is_centered(&self) -> bool {
        self.trunk.final_norm_is_centered()
    }

    fn w_o(&self, layer: usize) -> CoreResult<Tensor<3>> {
        Ok(self.block_at(layer)?.w_o())
    }

    fn b_o(&self, layer: usize) -> CoreResult<Option<Tensor<1>>> {
        Ok(self.block_at(layer)?.b_o())
    }

    fn final_norm_scale(&self, rows: Tensor<2>) -> CoreResult<Tensor<2>> {
        self.trunk.final_norm_scale(rows)
    }
}
