//! The tap that keeps activations of the unchanged model by their layer: [`Collected`].

use std::collections::{BTreeMap, BTreeSet};

use stratigraph_core::{Activation, CoreError, Hook, HookSet, Site, Tap};

use crate::Result;

/// An activation of the unchanged model: its layer and hook.
pub(super) type Place = (usize, Hook);

/// Keeps some activations of a run.
pub(super) struct Collected<'a> {
    places: &'a BTreeSet<Place>,
    seen: BTreeMap<Place, Activation>,
}

impl<'a> Collected<'a> {
    pub(super) fn new(places: &'a BTreeSet<Place>) -> Self {
        Self { places, seen: BTreeMap::new() }
    }

    /// The activations that were kept.
    ///
    /// # Errors
    /// When a layer did not show one of the activations.
    pub(super) fn all(self) -> Result<BTreeMap<Place, Activation>> {
        match self.places.iter().find(|place| !self.seen.contains_key(place)) {
            Some(&(layer, hook)) => Err(CoreError::EditNeverFired { point: hook.at(layer) }.into()),
            None => Ok(self.seen),
        }
    }
}

impl Tap for Collected<'_> {
    fn hooks(&self) -> HookSet {
        self.places.iter().map(|(_, hook)| *hook).collect()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        self.places.contains(&(site.layer, hook))
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> stratigraph_core::Result<Activation> {
        self.seen.insert((site.layer, hook), activation.clone());
        Ok(activation)
    }
}
