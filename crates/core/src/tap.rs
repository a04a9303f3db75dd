//! The one seam through which activations are read and edited: [`Tap`], with [`NoTap`] and [`Edit`].
//!
//! A tap is borrowed for one call; nothing is registered and nothing has to be removed.

use std::fmt;

use burn::tensor::Tensor;

use crate::{CoreError, Hook, HookPoint, Result, Site};

/// Reads or edits activations while a model runs.
///
/// A model calls [`visit`](Tap::visit) (or [`visit_pattern`](Tap::visit_pattern)) exactly once for each hook that the
/// tap [`wants`](Tap::wants), in the order of computation, and goes on with what the call gives back. A hook that
/// nobody wants costs nothing: attention runs fused unless somebody wants [`Hook::Pattern`].
pub trait Tap {
    /// The hooks this tap may want; a run is refused when the model lacks one of them.
    fn hooks(&self) -> Vec<Hook>;

    /// Whether the tap wants this hook at this site.
    fn wants(&self, site: Site, hook: Hook) -> bool;

    /// Sees an activation of shape `[batch, pos, width]` and gives back what the model goes on with.
    fn visit(&mut self, _site: Site, _hook: Hook, activation: Tensor<3>) -> Tensor<3> {
        activation
    }

    /// Sees attention probabilities `[batch, n_heads, query, key]` and gives back what the model goes on with.
    fn visit_pattern(&mut self, _site: Site, pattern: Tensor<4>) -> Tensor<4> {
        pattern
    }

    /// Called after the last block of a run.
    ///
    /// # Errors
    /// When the tap was to do something and never could, such as an [`Edit`] in a slot that did not run.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The tap that wants nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTap;

impl Tap for NoTap {
    fn hooks(&self) -> Vec<Hook> {
        Vec::new()
    }

    fn wants(&self, _site: Site, _hook: Hook) -> bool {
        false
    }
}

type Change3<'a> = Box<dyn FnMut(Tensor<3>) -> Tensor<3> + 'a>;
type Change4<'a> = Box<dyn FnMut(Tensor<4>) -> Tensor<4> + 'a>;

enum Change<'a> {
    Activation(Hook, Change3<'a>),
    Pattern(Change4<'a>),
}

/// Replaces one activation in one slot by a function of it.
///
/// A run in which the edit never fires is an error, [`CoreError::EditNeverFired`].
///
/// ```
/// use stratigraph_core::{Edit, Hook};
/// let zero_mlp = Edit::activation(3, Hook::MlpOut, |out| out.zeros_like());
/// let zero_attention = Edit::pattern(3, |pattern| pattern.zeros_like());
/// ```
pub struct Edit<'a> {
    slot: usize,
    change: Change<'a>,
    fired: bool,
}

impl<'a> Edit<'a> {
    /// Edits an activation of shape `[batch, pos, width]`.
    ///
    /// # Panics
    /// When `hook` is [`Hook::Pattern`], which has four axes: use [`Edit::pattern`].
    pub fn activation(slot: usize, hook: Hook, change: impl FnMut(Tensor<3>) -> Tensor<3> + 'a) -> Self {
        assert!(hook != Hook::Pattern, "a pattern has four axes: use Edit::pattern");
        Self { slot, change: Change::Activation(hook, Box::new(change)), fired: false }
    }

    /// Edits attention probabilities of shape `[batch, n_heads, query, key]`.
    pub fn pattern(slot: usize, change: impl FnMut(Tensor<4>) -> Tensor<4> + 'a) -> Self {
        Self { slot, change: Change::Pattern(Box::new(change)), fired: false }
    }

    fn hook(&self) -> Hook {
        match self.change {
            Change::Activation(hook, _) => hook,
            Change::Pattern(_) => Hook::Pattern,
        }
    }
}

impl fmt::Debug for Edit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let point = HookPoint { slot: self.slot, hook: self.hook() };
        f.debug_struct("Edit").field("point", &point.to_string()).field("fired", &self.fired).finish()
    }
}

impl Tap for Edit<'_> {
    fn hooks(&self) -> Vec<Hook> {
        vec![self.hook()]
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        site.slot == self.slot && hook == self.hook()
    }

    fn visit(&mut self, _site: Site, _hook: Hook, activation: Tensor<3>) -> Tensor<3> {
        self.fired = true;
        match &mut self.change {
            Change::Activation(_, change) => change(activation),
            Change::Pattern(_) => activation,
        }
    }

    fn visit_pattern(&mut self, _site: Site, pattern: Tensor<4>) -> Tensor<4> {
        self.fired = true;
        match &mut self.change {
            Change::Pattern(change) => change(pattern),
            Change::Activation(..) => pattern,
        }
    }

    fn finish(&mut self) -> Result<()> {
        match std::mem::take(&mut self.fired) {
            true => Ok(()),
            false => Err(CoreError::EditNeverFired { point: HookPoint { slot: self.slot, hook: self.hook() } }),
        }
    }
}
