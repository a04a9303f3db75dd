//! A set of hooks: [`HookSet`].

use std::fmt;

use crate::Hook;

/// A set of hooks.
///
/// ```
/// use stratigraph_core::{Hook, HookSet};
/// let hooks = HookSet::from([Hook::Z, Hook::Pattern]);
/// assert!(hooks.contains(Hook::Z) && !hooks.contains(Hook::Q));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct HookSet(u32);

impl HookSet {
    /// The set without hooks.
    pub const EMPTY: HookSet = HookSet(0);

    /// Every hook.
    pub fn all() -> Self {
        Hook::ALL.into_iter().collect()
    }

    /// Whether a hook is among them.
    pub fn contains(self, hook: Hook) -> bool {
        self.0 & (1 << hook as u32) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// With another hook.
    pub fn with(self, hook: Hook) -> Self {
        Self(self.0 | (1 << hook as u32))
    }

    /// Without a hook.
    pub fn without(self, hook: Hook) -> Self {
        Self(self.0 & !(1 << hook as u32))
    }

    /// Without the hooks of another set.
    pub fn minus(self, other: impl Into<HookSet>) -> Self {
        Self(self.0 & !other.into().0)
    }

    /// The hooks of either.
    pub fn union(self, other: HookSet) -> Self {
        Self(self.0 | other.0)
    }

    /// The hooks, in the order of [`Hook::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Hook> {
        Hook::ALL.into_iter().filter(move |hook| self.contains(*hook))
    }
}

impl FromIterator<Hook> for HookSet {
    fn from_iter<I: IntoIterator<Item = Hook>>(hooks: I) -> Self {
        hooks.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl<const N: usize> From<[Hook; N]> for HookSet {
    fn from(hooks: [Hook; N]) -> Self {
        hooks.into_iter().collect()
    }
}

impl fmt::Debug for HookSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        assert_eq!(HookSet::all().iter().collect::<Vec<_>>(), Hook::ALL);
        let set = HookSet::from([Hook::MlpOut, Hook::Embed]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Hook::Embed, Hook::MlpOut]);
        assert!(set.without(Hook::Embed).without(Hook::MlpOut).is_empty());
        assert_eq!(set.minus([Hook::Embed, Hook::Q]), HookSet::from([Hook::MlpOut]));
    }
}
