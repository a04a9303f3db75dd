//! What a residual model is: [`ResidualModel`]; its weights: [`ModelWeights`].

use std::fmt;
use std::ops::Range;

use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::{CoreError, Hook, HookSet, IncrementalModel, ModelShape, Result, Tap};

/// Which block runs where: `slot` is the position in the run, `layer` the layer whose weights run there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site {
    /// The position in the run, from 0.
    pub slot: usize,
    /// The layer whose weights run there.
    pub layer: usize,
}

/// One of the two parts of a block that add to the residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sublayer {
    /// Attention.
    Attention,
    /// The MLP.
    Mlp,
}

impl fmt::Display for Sublayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sublayer::Attention => "attention",
            Sublayer::Mlp => "mlp",
        })
    }
}

/// A decoder-only model as a residual stream that blocks read and write.
///
/// Six methods are required; the others have defaults. An implementation must have two properties. A block depends on
/// its layer, never on the slot it runs in: otherwise deleting and swapping layers would have no meaning. And the model
/// is causal: position `t` depends only on positions up to `t`, so a window can be cut short. On a CPU several
/// runs call blocks in parallel, so a model is shared among threads.
pub trait ResidualModel: Sync {
    /// Its sizes and hooks.
    fn shape(&self) -> ModelShape;

    /// The device that holds the weights.
    fn device(&self) -> Device;

    /// Token ids `[batch, pos]` to the residual stream before the first block, `[batch, pos, d_model]`.
    ///
    /// # Errors
    /// When a disk or a network fails.
    fn embed(&self, tokens: Tensor<2, Int>) -> Result<Tensor<3>>;

    /// Runs the block of `site.layer` on the residual stream `[batch, pos, d_model]`.
    ///
    /// A model that offers hooks calls `tap` once for each hook it wants.
    ///
    /// # Errors
    /// What the tap returns; [`CoreError::LayerOutOfRange`]; when a disk or a network
    /// fails.
    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>>;

    /// The norm before the unembedding, on rows `[rows, d_model]`, each by its own statistics; a model without one returns
    /// the rows.
    ///
    /// # Errors
    /// When a disk or a network fails.
    fn final_norm(&self, rows: Tensor<2>) -> Result<Tensor<2>>;

    /// Normed rows `[rows, d_model]` to their logits over a range of the vocabulary, `[rows, vocab.len()]`.
    ///
    /// # Errors
    /// When a disk or a network fails.
    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Result<Tensor<2>>;

    /// Its weights, for measures that read them. By default they are not available.
    fn weights(&self) -> Option<&dyn ModelWeights> {
        None
    }

    /// How it runs only new positions, for generation. By default there is none, and whole windows are run again.
    fn incremental(&self) -> Option<&dyn IncrementalModel> {
        None
    }

    /// How many layers the model has.
    fn n_layers(&self) -> usize {
        self.shape().n_layers
    }

    /// The width of the residual stream.
    fn d_model(&self) -> usize {
        self.shape().d_model
    }

    /// The size of the vocabulary.
    fn d_vocab(&self) -> usize {
        self.shape().d_vocab
    }

    /// The longest window the model can run, where there is a limit.
    fn n_ctx(&self) -> Option<usize> {
        self.shape().n_ctx
    }

    /// The hooks of its blocks, and those that every model has.
    fn hooks(&self) -> HookSet {
        self.shape().hooks.with(Hook::Embed).with(Hook::LnFinalNormalized)
    }
}

/// The weights of a model that measures read.
pub trait ModelWeights {
    /// The output weights of a layer's MLP neurons, `[d_mlp, d_model]`, as they are added to the residual stream: the
    /// linear part of a norm after the MLP is folded in. A mixture has the neurons of one expert after the
    /// other, the shared expert last; the weights of the router are not folded in.
    ///
    /// # Errors
    /// When there is no such layer, or it cannot be read.
    fn w_out(&self, layer: usize) -> Result<Tensor<2>>;

    /// The unembedding of a range of the vocabulary, `[d_model, vocab.len()]`, with the final norm's gain and a scale of the
    /// logits folded in. Where logits have a soft cap (Gemma 2), it comes after.
    ///
    /// # Errors
    /// When it cannot be read.
    fn w_u(&self, vocab: Range<usize>) -> Result<Tensor<2>>;

    /// Whether the final norm subtracts the mean over `d_model`, as LayerNorm does and RMSNorm does not.
    fn final_norm_is_centered(&self) -> bool;

    /// What each attention head of a layer writes to the residual stream for its `z`, `[n_heads, d_head, d_model]`, with
    /// whatever gain comes between. Where a norm follows attention (Gemma 3), its gain is folded in and its scale,
    /// which differs between positions, is not.
    ///
    /// # Errors
    /// When there is no such layer, or it cannot be read; by default [`CoreError::WeightsIncomplete`].
    fn w_o(&self, _layer: usize) -> Result<Tensor<3>> {
        Err(CoreError::WeightsIncomplete { what: "the output weights of its attention heads", method: "w_o" })
    }

    /// What attention of a layer writes beside its heads, `[d_model]`: its output bias, with whatever gain comes between as
    /// in [`w_o`](ModelWeights::w_o). None, the default, where there is no such bias.
    ///
    /// # Errors
    /// When there is no such layer, or it cannot be read.
    fn b_o(&self, _layer: usize) -> Result<Option<Tensor<1>>> {
        Ok(None)
    }

    /// What the final norm divides rows `[rows, d_model]` by, `[rows, 1]`: the root of their mean square or of their
    /// variance, with its epsilon; 1 in a model without a final norm.
    ///
    /// # Errors
    /// When it cannot be read; by default [`CoreError::WeightsIncomplete`].
    fn final_norm_scale(&self, _rows: Tensor<2>) -> Result<Tensor<2>> {
        Err(CoreError::WeightsIncomplete { what: "the scale of its final norm", method: "final_norm_scale" })
    }
}
