//! Activation patching as plain data, for another process: [`PatchingPart`].

use serde::{Deserialize, Serialize};
use stratigraph_core::Hook;

use super::reading::AnswerMetric;
use super::{ActivationPatching, EncodedPairs, PatchDirection, TokenPair};
use crate::Result;

/// [`ActivationPatching`] by the logit difference, as plain data. With another metric there is none: that is code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchingPart {
    pairs: Vec<NamedPair>,
    hooks: Vec<Hook>,
    directions: Vec<PatchDirection>,
    least_difference: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedPair {
    /// What errors call it.
    name: String,
    tokens: TokenPair,
}

impl PatchingPart {
    pub(super) fn of(patching: &ActivationPatching) -> Option<Self> {
        let ActivationPatching { pairs, hooks, directions, metric, least_difference } = patching;
        let named = |(tokens, name): (&TokenPair, &String)| NamedPair { name: name.clone(), tokens: tokens.clone() };
        matches!(metric, AnswerMetric::LogitDifference).then(|| Self {
            pairs: pairs.named().map(named).collect(),
            hooks: hooks.clone(),
            directions: directions.clone(),
            least_difference: *least_difference,
        })
    }

    /// The measurement.
    ///
    /// # Errors
    /// When a pair cannot be patched in any model.
    pub(crate) fn measurement(&self) -> Result<ActivationPatching> {
        let mut pairs = EncodedPairs::default();
        for NamedPair { name, tokens } in &self.pairs {
            pairs.push(tokens.clone(), name.clone(), None)?;
        }
        let patching = ActivationPatching::new(pairs).with_hooks(self.hooks.iter().copied());
        let patching = patching.with_directions(self.directions.iter().copied());
        Ok(patching.with_least_difference(self.least_difference))
    }
}
