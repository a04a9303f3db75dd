//! A decoder whose blocks stay on disk: [`StreamedDecoder`].

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{Hook, ResidualModel, Result as CoreResult, Site, Sublayer, Tap};

use super::Decoder;
use super::block::Block;
use crate::{DecoderConfig, LoadOptions, Pretrained, Result};

/// Blocks that are held: a swap needs a layer and its neighbour by turns.
const HELD: usize = 2;

/// A decoder that reads each block from its checkpoint when it is to run, and holds the last two.
///
/// Embedding, unembedding and norms are in memory. A run that takes many states through a layer before it goes on to the
/// next, as an executor of `stratigraph-surgery` does, reads each block once for a batch of windows.
///
/// ```no_run
/// # use burn::tensor::Device;
/// # use stratigraph_models::Pretrained;
/// let model = Pretrained::open("Llama-3.2-3B")?.stream(&Device::default())?;
/// println!("{} bytes are held", model.n_bytes());
/// # Ok::<(), stratigraph_models::ModelError>(())
/// ```
pub struct StreamedDecoder {
    checkpoint: Pretrained,
    options: LoadOptions,
    device: Device,
    /// The decoder without its blocks.
    trunk: Decoder,
    /// The oldest first.
    held: Mutex<VecDeque<(usize, Arc<Block>)>>,
    largest_block: usize,
    n_reads: AtomicUsize,
}

impl StreamedDecoder {
    pub(crate) fn new(checkpoint: Pretrained, options: LoadOptions, device: &Device) -> Result<Self> {
        let mut largest_block = 0;
        let trunk = checkpoint.read(|params| {
            let trunk = Decoder::build(checkpoint.config(), 0, params, &options, device)?;
            // Each block is read once, and let go, so that whatever is wrong with the checkpoint shows now.
            for layer in 0..checkpoint.config().n_layers {
                let block = Decoder::build_block(checkpoint.config(), layer, params, &options, device)?;
                largest_block = largest_block.max(block.num_params() * size_of::<f32>());
            }
            Ok(trunk)
        })?;
        let (held, n_reads) = (Mutex::default(), AtomicUsize::new(0));
        Ok(Self { checkpoint, options, device: device.clone(), trunk, held, largest_block, n_reads })
    }

    /// What this decoder is.
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

    /// The block of a layer; whoever asks for one that is being read waits for it.
    fn block_at(&self, layer: usize) -> Arc<Block> {
        let n_layers = self.config().n_layers;
        assert!(layer < n_layers, "layer {layer} of a model with {n_layers}");
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = held.iter().find(|(other, _)| *other == layer) {
            return block.clone();
        }
        if held.len() == HELD {
            held.pop_front();
        }
        self.n_reads.fetch_add(1, Ordering::Relaxed);
        let read = self.checkpoint.read_block(layer, &self.options, &self.device);
        let block = Arc::new(read.unwrap_or_else(|e| panic!("layer {layer} could be read before, and now: {e}")));
        held.push_back((layer, block.clone()));
        block
    }
}

impl ResidualModel for StreamedDecoder {
    fn n_layers(&self) -> usize {
        self.config().n_layers
    }

    fn d_model(&self) -> usize {
        self.trunk.d_model()
    }

    fn d_vocab(&self) -> usize {
        self.trunk.d_vocab()
    }

    fn device(&self) -> Device {
        self.device.clone()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.trunk.embed(tokens)
    }

    /// # Panics
    /// When the checkpoint can no longer be read.
    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        self.block_at(site.layer).forward(site, resid, tap)
    }

    fn sublayer(&self, site: Site, sublayer: Sublayer, resid: Tensor<3>, tap: &mut dyn Tap) -> CoreResult<Tensor<3>> {
        Ok(self.block_at(site.layer).forward_sublayer(site, sublayer, resid, tap))
    }

    fn runs_sublayers(&self) -> bool {
        true
    }

    fn final_norm(&self, rows: Tensor<2>) -> Tensor<2> {
        self.trunk.final_norm(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Tensor<2> {
        self.trunk.unembed(normed, vocab)
    }

    fn neuron_outputs(&self, layer: usize) -> Option<Tensor<2>> {
        Some(self.block_at(layer).neuron_outputs())
    }

    fn unembedding(&self, vocab: Range<usize>) -> Option<Tensor<2>> {
        self.trunk.unembedding(vocab)
    }

    fn norm_subtracts_mean(&self) -> bool {
        self.trunk.norm_subtracts_mean()
    }

    fn hooks(&self) -> Vec<Hook> {
        self.trunk.hooks()
    }

    fn n_ctx(&self) -> Option<usize> {
        self.trunk.n_ctx()
    }

    fn widest_activation(&self, seq_len: usize) -> usize {
        self.trunk.widest_activation(seq_len)
    }
}
