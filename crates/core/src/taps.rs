//! Several taps on one run: [`Taps`].

use std::ops::Range;

use crate::{Activation, Hook, HookSet, Replacement, Result, Site, Tap};

/// Taps that see the same run; of two that want an activation, the second sees what the first returned.
pub struct Taps<'a> {
    taps: Vec<&'a mut dyn Tap>,
}

impl<'a> Taps<'a> {
    /// Joins taps in the order in which they see an activation.
    pub fn new(taps: impl IntoIterator<Item = &'a mut dyn Tap>) -> Self {
        Self { taps: taps.into_iter().collect() }
    }
}

impl Tap for Taps<'_> {
    fn hooks(&self) -> HookSet {
        self.taps.iter().fold(HookSet::EMPTY, |hooks, tap| hooks.union(tap.hooks()))
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        self.taps.iter().any(|tap| tap.wants(site, hook))
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> Result<Activation> {
        let mut wanting = self.taps.iter_mut().filter(|tap| tap.wants(site, hook));
        wanting.try_fold(activation, |x, tap| tap.visit(site, hook, x))
    }

    fn replacement(&mut self, site: Site, hook: Hook, dims: [usize; 3]) -> Result<Option<Replacement>> {
        let mut wanting = self.taps.iter_mut().filter(|tap| tap.wants(site, hook));
        match (wanting.next(), wanting.next()) {
            (Some(only), None) => only.replacement(site, hook, dims),
            _ => Ok(None), // each has to see the activation
        }
    }

    fn takes_parts(&self) -> bool {
        self.taps.iter().all(|tap| tap.takes_parts())
    }

    fn at_positions(&mut self, positions: Range<usize>) {
        self.taps.iter_mut().for_each(|tap| tap.at_positions(positions.clone()));
    }

    fn finish(&mut self) -> Result<()> {
        self.taps.iter_mut().try_for_each(|tap| tap.finish())
    }
}
