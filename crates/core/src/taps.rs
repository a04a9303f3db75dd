//! Several taps on one run: [`Taps`].

use burn::tensor::Tensor;

use crate::{Hook, Result, Site, Tap};

/// Taps that see the same run; of two that want an activation, the second sees what the first gave back.
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
    fn hooks(&self) -> Vec<Hook> {
        let mut hooks: Vec<_> = self.taps.iter().flat_map(|tap| tap.hooks()).collect();
        hooks.sort();
        hooks.dedup();
        hooks
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        self.taps.iter().any(|tap| tap.wants(site, hook))
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Tensor<3>) -> Tensor<3> {
        self.taps.iter_mut().filter(|tap| tap.wants(site, hook)).fold(activation, |x, tap| tap.visit(site, hook, x))
    }

    fn visit_pattern(&mut self, site: Site, pattern: Tensor<4>) -> Tensor<4> {
        let wanting = self.taps.iter_mut().filter(|tap| tap.wants(site, Hook::Pattern));
        wanting.fold(pattern, |pattern, tap| tap.visit_pattern(site, pattern))
    }

    fn finish(&mut self) -> Result<()> {
        self.taps.iter_mut().try_for_each(|tap| tap.finish())
    }
}
