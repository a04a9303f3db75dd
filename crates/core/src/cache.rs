//! The tap that keeps what it sees: [`ActivationCache`].

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use crate::{Hook, HookPoint, Site, Tap};

/// Keeps activations of a run, by slot and hook.
///
/// A cache holds every activation it was asked for until it is dropped: for whole sweeps use a reducing tap instead.
///
/// ```
/// use stratigraph_core::{ActivationCache, Hook};
/// let cache = ActivationCache::of([Hook::ResidPre, Hook::Pattern]);
/// assert!(cache.get(0, Hook::ResidPre).is_none()); // nothing has run yet
/// ```
#[derive(Debug, Clone, Default)]
pub struct ActivationCache {
    hooks: Vec<Hook>,
    activations: BTreeMap<HookPoint, Tensor<3>>,
    patterns: BTreeMap<usize, Tensor<4>>,
}

impl ActivationCache {
    /// A cache of these hooks in every slot.
    pub fn of(hooks: impl IntoIterator<Item = Hook>) -> Self {
        Self { hooks: hooks.into_iter().collect(), ..Self::default() }
    }

    /// The activation `[batch, pos, width]` of `hook` in `slot`, if it was asked for and the slot ran.
    pub fn get(&self, slot: usize, hook: Hook) -> Option<&Tensor<3>> {
        self.activations.get(&HookPoint { slot, hook })
    }

    /// The attention probabilities `[batch, n_heads, query, key]` in `slot`, if they were asked for and the slot ran.
    pub fn pattern(&self, slot: usize) -> Option<&Tensor<4>> {
        self.patterns.get(&slot)
    }

    /// The hook points that hold an activation, in order.
    pub fn points(&self) -> Vec<HookPoint> {
        let patterns = self.patterns.keys().map(|&slot| HookPoint { slot, hook: Hook::Pattern });
        let mut points: Vec<_> = self.activations.keys().copied().chain(patterns).collect();
        points.sort();
        points
    }
}

impl Tap for ActivationCache {
    fn hooks(&self) -> Vec<Hook> {
        self.hooks.clone()
    }

    fn wants(&self, _site: Site, hook: Hook) -> bool {
        self.hooks.contains(&hook)
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Tensor<3>) -> Tensor<3> {
        self.activations.insert(HookPoint { slot: site.slot, hook }, activation.clone());
        activation
    }

    fn visit_pattern(&mut self, site: Site, pattern: Tensor<4>) -> Tensor<4> {
        self.patterns.insert(site.slot, pattern.clone());
        pattern
    }
}
