//! The tap that keeps what it sees: [`ActivationCache`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use burn::tensor::Tensor;

use crate::{Activation, CoreError, Hook, HookPoint, HookSet, Result, Site, Tap};

/// Keeps activations of a run, by hook point.
///
/// A cache holds every activation it was asked for until it is dropped: for whole corpora use an
/// [`ActivationSampler`](crate::ActivationSampler) or another tap that reduces. Where windows run in parts, as in generation,
/// it holds what a run on the whole windows would show.
///
/// ```
/// use stratigraph_core::{ActivationCache, Hook};
/// let everywhere = ActivationCache::at([Hook::ResidPre, Hook::Pattern]);
/// let in_one_layer = ActivationCache::at([Hook::Z.at(5)]);
/// assert!(in_one_layer.get(Hook::Z.at(5)).is_none()); // nothing has run yet
/// ```
#[derive(Debug, Clone, Default)]
pub struct ActivationCache {
    everywhere: HookSet,
    points: BTreeSet<HookPoint>,
    activations: BTreeMap<HookPoint, Activation>,
    /// The first position that runs; activations of the positions before are kept and joined with the new ones.
    first: usize,
}

/// What a cache keeps: a hook in every slot, or at one point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheFilter {
    /// The hook in every slot.
    Hook(Hook),
    /// The hook in one slot.
    Point(HookPoint),
}

impl From<Hook> for CacheFilter {
    fn from(hook: Hook) -> Self {
        CacheFilter::Hook(hook)
    }
}

impl From<HookPoint> for CacheFilter {
    fn from(point: HookPoint) -> Self {
        CacheFilter::Point(point)
    }
}

impl ActivationCache {
    /// A cache of these hooks, each in every slot or at one point.
    pub fn at<F: Into<CacheFilter>>(filters: impl IntoIterator<Item = F>) -> Self {
        Self::default().and(filters)
    }

    /// With more hooks or points.
    pub fn and<F: Into<CacheFilter>>(mut self, filters: impl IntoIterator<Item = F>) -> Self {
        for filter in filters {
            match filter.into() {
                CacheFilter::Hook(hook) => self.everywhere = self.everywhere.with(hook),
                CacheFilter::Point(point) => drop(self.points.insert(point)),
            }
        }
        self
    }

    /// The activation at a point, if it was asked for and the slot ran.
    pub fn get(&self, point: HookPoint) -> Option<&Activation> {
        self.activations.get(&point)
    }

    /// The activation at a point.
    ///
    /// # Errors
    /// [`CoreError::NotCached`] when it was not asked for or the slot did not run.
    pub fn activation(&self, point: HookPoint) -> Result<&Activation> {
        self.get(point).ok_or(CoreError::NotCached { point })
    }

    /// The tensor `[batch, pos, width]` at a point.
    ///
    /// # Errors
    /// As [`activation`](ActivationCache::activation), and when it has an axis of heads.
    pub fn tensor(&self, point: HookPoint) -> Result<Tensor<3>> {
        self.activation(point)?.clone().wide(point)
    }

    /// The tensor with an axis of heads at a point: `[batch, pos, heads, d_head]`, or `[batch, n_heads, query, key]`.
    ///
    /// # Errors
    /// As [`activation`](ActivationCache::activation), and when it has none.
    pub fn heads(&self, point: HookPoint) -> Result<Tensor<4>> {
        self.activation(point)?.clone().heads(point)
    }

    /// The hook points that hold an activation, in order.
    pub fn points(&self) -> impl Iterator<Item = HookPoint> {
        self.activations.keys().copied()
    }
}

impl Tap for ActivationCache {
    fn hooks(&self) -> HookSet {
        self.points.iter().fold(self.everywhere, |hooks, point| hooks.with(point.hook))
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        self.everywhere.contains(hook) || self.points.contains(&hook.at(site.slot))
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> Result<Activation> {
        let point = hook.at(site.slot);
        let before = if self.first == 0 { None } else { self.activations.remove(&point) };
        let whole = match before {
            Some(before) => before.followed_by(activation.clone(), point)?,
            None => activation.clone(),
        };
        self.activations.insert(point, whole);
        Ok(activation)
    }

    fn takes_parts(&self) -> bool {
        true
    }

    fn at_positions(&mut self, positions: Range<usize>) {
        self.first = positions.start;
    }

    fn finish(&mut self) -> Result<()> {
        self.first = 0;
        match self.points.iter().find(|point| !self.activations.contains_key(point)) {
            Some(&point) => Err(CoreError::NotCached { point }),
            None => Ok(()),
        }
    }
}
