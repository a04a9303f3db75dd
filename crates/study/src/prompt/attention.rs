//! Where the heads of a prompt look: [`add`].

use stratigraph_core::{Activation, Hook, HookSet, Result as CoreResult, RunModel, Site, Tap};
use stratigraph_profile::prompt::{AttentionPatterns, PromptReading};

use super::PromptStudy;
use crate::Result;

/// Adds the pattern of every head, where the model shows them.
pub(super) fn add(study: &PromptStudy, reading: &mut PromptReading) -> Result<()> {
    let (model, prompt) = (study.model, &study.prompt);
    let Some(n_heads) = model.shape().n_heads_at(Hook::Pattern).filter(|_| model.hooks().contains(Hook::Pattern))
    else {
        reading.remarks.push(format!("attention is left out: the model does not offer the hook `{}`", Hook::Pattern));
        return Ok(());
    };
    let mut tap = PatternTap(AttentionPatterns::new(prompt.seq_len(), n_heads));
    model.forward(prompt.batch(0..1, &model.device()), &mut tap)?;
    reading.attention = Some(tap.0);
    Ok(())
}

/// Quantises the patterns of each layer as soon as it sees them.
struct PatternTap(AttentionPatterns);

impl Tap for PatternTap {
    fn hooks(&self) -> HookSet {
        [Hook::Pattern].into()
    }

    fn visit(&mut self, _: Site, _: Hook, activation: Activation) -> CoreResult<Activation> {
        let weights = activation.to_vec();
        self.0.push_layer(weights.chunks(self.0.n_tokens * self.0.n_tokens));
        Ok(activation)
    }
}
