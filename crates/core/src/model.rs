//! What a residual model is: [`ResidualModel`], with [`forward`] and [`logits`] to run one straight.

use std::fmt;
use std::ops::Range;

use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::{CoreError, Hook, Result, Tap};

/// Which block runs where: `slot` is the place in the run, `layer` whose weights run there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site {
    /// The place in the run, from 0.
    pub slot: usize,
    /// The layer whose weights run there.
    pub layer: usize,
}

/// One half of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sublayer {
    /// Only attention adds to the residual stream.
    Attention,
    /// Only the MLP adds to the residual stream.
    Mlp,
}

impl fmt::Display for Sublayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sublayer::Attention => "the attention",
            Sublayer::Mlp => "the MLP",
        })
    }
}

/// A decoder-only model as a residual stream that blocks read and write.
///
/// Seven methods make a model that can be swept; the rest have defaults. Implementations must not depend on the slot a
/// block runs in, only on its layer: that is what makes deleting and swapping layers meaningful. On a CPU blocks of several
/// plans run side by side, so a model is shared among threads.
pub trait ResidualModel: Sync {
    /// How many layers the model has.
    fn n_layers(&self) -> usize;

    /// The width of the residual stream.
    fn d_model(&self) -> usize;

    /// The size of the vocabulary.
    fn d_vocab(&self) -> usize;

    /// The device that holds the weights.
    fn device(&self) -> Device;

    /// Token ids `[batch, pos]` to the residual stream before the first block, `[batch, pos, d_model]`.
    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3>;

    /// Runs the block of `site.layer` on the residual stream `[batch, pos, d_model]`.
    ///
    /// A model that offers hooks calls `tap` once for each hook it wants.
    ///
    /// # Panics
    /// When there is no such layer.
    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3>;

    /// Normed rows `[rows, d_model]` to their logits over a range of the vocabulary, `[rows, vocab.len()]`.
    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Tensor<2>;

    /// The norm before the unembedding, on rows `[rows, d_model]`, each by its own statistics. By default there is none.
    fn final_norm(&self, rows: Tensor<2>) -> Tensor<2> {
        rows
    }

    /// Runs only one half of the block: `resid + attention(norm(resid))`, or the same with the MLP.
    ///
    /// # Errors
    /// [`CoreError::SublayerMissing`] when the model cannot, which is the default; one that can says so in
    /// [`runs_sublayers`](ResidualModel::runs_sublayers).
    fn sublayer(&self, _site: Site, sublayer: Sublayer, _resid: Tensor<3>, _tap: &mut dyn Tap) -> Result<Tensor<3>> {
        Err(CoreError::SublayerMissing { sublayer })
    }

    /// Whether [`sublayer`](ResidualModel::sublayer) works: plans that run half a layer are refused before a run where it does
    /// not. By default not.
    fn runs_sublayers(&self) -> bool {
        false
    }

    /// What the MLP neurons of a layer write to the residual stream, `[d_mlp, d_model]`, with whatever gain stands between.
    /// By default the model does not tell.
    ///
    /// # Panics
    /// When there is no such layer.
    fn neuron_outputs(&self, _layer: usize) -> Option<Tensor<2>> {
        None
    }

    /// The unembedding of a range of the vocabulary, `[d_model, vocab.len()]`, with the final norm's gain folded in. By
    /// default the model does not tell.
    fn unembedding(&self, _vocab: Range<usize>) -> Option<Tensor<2>> {
        None
    }

    /// Whether the final norm subtracts the mean over `d_model`, as LayerNorm does and RMSNorm does not. By default not.
    fn norm_subtracts_mean(&self) -> bool {
        false
    }

    /// The hooks that [`block`](ResidualModel::block) offers. By default none.
    fn hooks(&self) -> Vec<Hook> {
        Vec::new()
    }

    /// The longest window the model can run, where there is one.
    fn n_ctx(&self) -> Option<usize> {
        None
    }

    /// The floats per token of the widest activation inside a block, by which runs are kept under a memory budget.
    /// By default a guess for a usual transformer: four times `d_model`.
    fn widest_activation(&self, _seq_len: usize) -> usize {
        4 * self.d_model()
    }
}

/// Refuses a tap that asks for a hook the model does not have; whoever drives blocks calls it before the first one.
///
/// # Errors
/// [`CoreError::HookMissing`] with the first such hook.
pub fn check_tap(model: &dyn ResidualModel, tap: &dyn Tap) -> Result<()> {
    let offered = model.hooks();
    match tap.hooks().into_iter().find(|hook| !offered.contains(hook)) {
        Some(hook) => Err(CoreError::HookMissing { hook }),
        None => Ok(()),
    }
}

/// Runs every block once in the model's order: tokens `[batch, pos]` to the last residual stream `[batch, pos, d_model]`.
///
/// # Errors
/// When the tap asks for a hook that the model lacks, or an edit never fired; never with [`NoTap`](crate::NoTap).
pub fn forward(model: &dyn ResidualModel, tokens: Tensor<2, Int>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
    check_tap(model, tap)?;
    let mut resid = model.embed(tokens);
    for layer in 0..model.n_layers() {
        resid = model.block(Site { slot: layer, layer }, resid, tap);
    }
    tap.finish()?;
    Ok(resid)
}

/// The logits `[batch, pos, d_vocab]` of a residual stream `[batch, pos, d_model]`, all at once.
///
/// For a few positions or a small vocabulary; the measures of `stratigraph-probes` never hold more than a tile.
pub fn logits(model: &dyn ResidualModel, resid: Tensor<3>) -> Tensor<3> {
    let [batch, pos, d_model] = resid.dims();
    let normed = model.final_norm(resid.reshape([batch * pos, d_model]));
    model.unembed(normed, 0..model.d_vocab()).reshape([batch, pos, model.d_vocab()])
}
