//! The interface through which activations are read and edited: [`Tap`], with [`NoTap`] and [`Replacement`]; a model
//! shows its activations with [`visit`] and [`visit_heads`].
//!
//! A tap is borrowed for one call; nothing is registered and nothing has to be removed.

use std::ops::Range;

use burn::tensor::Tensor;

use crate::{Activation, CoreError, Hook, HookSet, Result, Site};

/// Reads or edits activations while a model runs.
///
/// A model calls [`visit`](Tap::visit) exactly once for each hook that the tap [`wants`](Tap::wants), in the order of
/// computation, and continues with what the call returns. A hook that the tap does not want costs nothing: attention runs
/// fused unless the tap wants [`Hook::Pattern`] or [`Hook::AttnScores`].
///
/// ```
/// use stratigraph_core::{Activation, Hook, HookSet, Result, Site, Tap};
///
/// /// Counts the attention patterns that a run computes.
/// struct Count(usize);
///
/// impl Tap for Count {
///     fn hooks(&self) -> HookSet {
///         [Hook::Pattern].into()
///     }
///
///     fn visit(&mut self, _site: Site, _hook: Hook, activation: Activation) -> Result<Activation> {
///         self.0 += 1;
///         Ok(activation)
///     }
/// }
/// ```
pub trait Tap {
    /// The hooks this tap wants; a run is refused when the model lacks one of them.
    fn hooks(&self) -> HookSet;

    /// Whether the tap wants this hook at this site. By default it wants its hooks everywhere.
    fn wants(&self, _site: Site, hook: Hook) -> bool {
        self.hooks().contains(hook)
    }

    /// Sees an activation and returns what the model continues with, of the same shape.
    ///
    /// # Errors
    /// An error ends the run.
    fn visit(&mut self, _site: Site, _hook: Hook, activation: Activation) -> Result<Activation> {
        Ok(activation)
    }

    /// A replacement for a sublayer's output that does not depend on it, so that the model need not compute the output.
    /// A model asks for it at [`Hook::AttnOut`] and [`Hook::MlpOut`], with the shape of the output, before it runs the
    /// sublayer, unless the tap wants a hook inside the sublayer. If there is a replacement, the model does not call
    /// [`visit`](Tap::visit) at that hook. By default there is none.
    ///
    /// # Errors
    /// An error ends the run.
    fn replacement(&mut self, _site: Site, _hook: Hook, _dims: [usize; 3]) -> Result<Option<Replacement>> {
        Ok(None)
    }

    /// Whether it can handle runs of only some positions of a window, which [`at_positions`](Tap::at_positions) announces.
    /// By default it does not, and generation shows it whole windows, which are run again for every new token.
    fn takes_parts(&self) -> bool {
        false
    }

    /// Announces that the next run is only on these positions of its windows: activations have these positions, scores and
    /// patterns these queries and the keys up to them. A tap that this is never called on sees whole windows.
    fn at_positions(&mut self, _positions: Range<usize>) {}

    /// Called after the last block of a run.
    ///
    /// # Errors
    /// When the tap could not do its work, such as an edit in a slot that did not run.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A replacement for a sublayer's output.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // one exists at a time
pub enum Replacement {
    /// Nothing is added to the residual stream.
    Zero,
    /// A tensor of the output's shape.
    Values(Activation),
}

/// The tap that wants nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTap;

impl Tap for NoTap {
    fn hooks(&self) -> HookSet {
        HookSet::EMPTY
    }

    fn takes_parts(&self) -> bool {
        true
    }
}

/// Shows an activation `[batch, pos, width]` to a tap that wants it, and returns what the model continues with.
///
/// # Errors
/// What the tap returns; [`CoreError::ShapeChanged`] when it returns another shape.
pub fn visit(tap: &mut dyn Tap, site: Site, hook: Hook, activation: Tensor<3>) -> Result<Tensor<3>> {
    if !tap.wants(site, hook) {
        return Ok(activation);
    }
    visit_checked(tap, site, hook, activation.into())?.wide(hook.at(site.slot))
}

/// Shows an activation with an axis of heads to a tap that wants it, and returns what the model continues with.
///
/// # Errors
/// What the tap returns; [`CoreError::ShapeChanged`] when it returns another shape.
pub fn visit_heads(tap: &mut dyn Tap, site: Site, hook: Hook, activation: Tensor<4>) -> Result<Tensor<4>> {
    if !tap.wants(site, hook) {
        return Ok(activation);
    }
    visit_checked(tap, site, hook, activation.into())?.heads(hook.at(site.slot))
}

fn visit_checked(tap: &mut dyn Tap, site: Site, hook: Hook, activation: Activation) -> Result<Activation> {
    let before = activation.dims();
    let activation = tap.visit(site, hook, activation)?;
    let after = activation.dims();
    if after == before {
        Ok(activation)
    } else {
        Err(CoreError::ShapeChanged { point: hook.at(site.slot), before, after })
    }
}
