//! Whether a model can make an edit: [`Edit::check`].

use super::{EditKind, EditValues, MeanOver, Positions, Units};
use crate::{CoreError, Edit, Hook, ModelShape, Result};

impl Edit {
    /// Checks that a model can make it in a run of `n_slots` slots and windows of `seq_len` tokens.
    ///
    /// # Errors
    /// [`CoreError::HookMissing`]; [`CoreError::BadEdit`] when the slot, every position, a head or a unit does not exist, the
    /// kind does not belong to the hook, or its values do not have the shape of the activation.
    pub fn check(&self, shape: &ModelShape, n_slots: usize, seq_len: usize) -> Result<()> {
        let (point, hook) = (self.point(), self.point().hook);
        if hook == Hook::LnFinalNormalized {
            return Err(self.bad("it can be read, not edited; edit hook_resid_post of the last slot instead"));
        }
        if hook.is_read_only() {
            return Err(self.bad("it can be read, not edited; edit mlp.hook_expert_weights instead"));
        }
        if hook != Hook::Embed && !shape.hooks.contains(hook) {
            return Err(CoreError::HookMissing { hook });
        }
        if point.slot >= n_slots {
            return Err(self.bad(&format!("there is no block {}: {n_slots} run, counted from 0", point.slot)));
        }
        if !self.positions().any_below(seq_len) {
            return Err(
                self.bad(&format!("windows of {seq_len} tokens have none of its positions, which count from 0"))
            );
        }
        self.check_kind()?;
        self.check_units(shape)?;
        self.check_windows(shape, seq_len)
    }

    /// Whether windows of `seq_len` tokens have any of its positions, and any of the keys that it hides by distance or position.
    pub fn acts_within(&self, seq_len: usize) -> bool {
        let hides = |query: usize| match self.kind() {
            EditKind::MaskDistances(distances) => *distances.start() <= query,
            EditKind::MaskKeys(keys) => keys.any_below(query),
            _ => true,
        };
        self.positions().any_below(seq_len) && self.last_query(seq_len).is_some_and(hides)
    }

    /// Whether the kind belongs to the hook.
    fn check_kind(&self) -> Result<()> {
        let hook = self.point().hook;
        match self.kind() {
            EditKind::MaskDistances(_) | EditKind::MaskKeys(_) | EditKind::MaskPairs(_) if hook != Hook::AttnScores => {
                Err(self.bad("keys are masked at attn.hook_attn_scores, before the softmax"))
            }
            EditKind::MaskDistances(distances) if distances.is_empty() || *distances.start() == 0 => {
                Err(self.bad("distances begin at 1: a query always sees itself"))
            }
            EditKind::Mean(MeanOver::From(_)) if hook.is_square() => {
                Err(self.bad("scores and patterns are averaged over windows, each query by itself; write mean"))
            }
            EditKind::SkipLayer if hook != Hook::ResidPost => Err(self.bad("a layer is skipped at hook_resid_post")),
            EditKind::SkipLayer if *self.units() != Units::All => {
                Err(self.bad("a layer is skipped with all its units"))
            }
            EditKind::Scale(factor) if !factor.is_finite() => Err(self.bad("the factor is not finite")),
            EditKind::Add(values) if !values.is_finite() => Err(self.bad("its values are not all finite")),
            EditKind::Add(values) | EditKind::Patch(values) if values.has_heads() != hook.has_heads() => {
                Err(self.bad("its values do not have as many axes as the activation"))
            }
            _ => Ok(()),
        }
    }

    fn check_units(&self, shape: &ModelShape) -> Result<()> {
        let hook = self.point().hook;
        let (chosen, n, what) = match self.units() {
            Units::All => return Ok(()),
            Units::Heads(_) if !hook.has_heads() => return Err(self.bad("this activation has no heads")),
            Units::Heads(heads) => (heads, shape.n_heads_at(hook), "heads"),
            Units::Units(_) if hook.has_heads() => return Err(self.bad("choose heads here, not units")),
            Units::Units(units) => (units, shape.width_at(hook), "units"),
        };
        match (chosen.last(), n) {
            (None, _) => Err(self.bad(&format!("it has no {what}"))),
            (Some(last), Some(n)) if *last >= n => {
                Err(self.bad(&format!("there are {n} {what}, 0 to {}", n.saturating_sub(1))))
            }
            _ => Ok(()),
        }
    }

    /// Whether windows are long enough, and values as long as they are.
    fn check_windows(&self, shape: &ModelShape, seq_len: usize) -> Result<()> {
        match self.kind() {
            EditKind::Mean(MeanOver::From(first)) if *first >= seq_len => {
                Err(self.bad(&format!("windows of {seq_len} tokens have no position {first} to take the mean over")))
            }
            EditKind::MaskDistances(distances) if !self.acts_within(seq_len) => {
                let (distance, queries) = (distances.start(), self.queries_in_words());
                Err(self.bad(&format!("windows of {seq_len} tokens have no key {distance} before {queries}")))
            }
            EditKind::MaskKeys(_) if !self.acts_within(seq_len) => {
                let queries = self.queries_in_words();
                Err(self.bad(&format!("windows of {seq_len} tokens have none of its keys before {queries}")))
            }
            EditKind::MaskPairs(pairs) => pairs.check(seq_len, self.positions()).map_err(|reason| self.bad(&reason)),
            EditKind::Add(values) | EditKind::Patch(values) => self.check_values(values, shape, seq_len),
            _ => Ok(()),
        }
    }

    /// The last position of a window that the edit is made at; for a mask, which differs between windows, that of any window.
    fn last_query(&self, seq_len: usize) -> Option<usize> {
        match self.positions() {
            Positions::Only(positions) => positions.iter().copied().rfind(|position| *position < seq_len),
            Positions::From(first) if *first >= seq_len => None,
            _ => seq_len.checked_sub(1),
        }
    }

    fn queries_in_words(&self) -> String {
        match self.positions() {
            Positions::All => "a query".to_owned(),
            positions => format!("a query at pos={positions}"),
        }
    }

    /// Whether values broadcast to the activation, apart from its axis of windows.
    fn check_values(&self, values: &EditValues, shape: &ModelShape, seq_len: usize) -> Result<()> {
        let hook = self.point().hook;
        let expected = match hook {
            hook if hook.is_square() => vec![shape.n_heads_at(hook), Some(seq_len), Some(seq_len)],
            hook if hook.has_heads() => {
                vec![Some(seq_len), shape.n_heads_at(hook), shape.width_at(hook)]
            }
            hook => vec![Some(seq_len), shape.width_at(hook)],
        };
        let found = values.activation().dims();
        let fits = |(found, expected): (&usize, &Option<usize>)| *found == 1 || expected.is_none_or(|n| n == *found);
        if found[1..].iter().zip(&expected).all(fits) {
            return Ok(());
        }
        let expected: Vec<_> = expected.into_iter().map(|n| n.map_or("any".to_owned(), |n| n.to_string())).collect();
        Err(self.bad(&format!(
            "its values have the shape {found:?}, and the activation has [windows, {}]; an axis of length 1 serves all",
            expected.join(", ")
        )))
    }

    fn bad(&self, reason: &str) -> CoreError {
        CoreError::BadEdit { edit: self.to_string(), reason: reason.to_owned() }
    }
}
