//! What an intervention makes of a text: [`Comparison`].

use burn::tensor::Tensor;
use stratigraph_core::NoTap;
use stratigraph_surgery::Intervention;

use crate::logits::{kl, rows, rows_at_once, top1};
use crate::{GenerateError, Generation, Generator, Result};

/// The continuation of one prompt by the unchanged model and under an intervention.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// What the unchanged model writes.
    pub clean: Generation,
    /// What is written under the intervention, with the same sampling and seed.
    pub changed: Generation,
    /// The tokens of the clean continuation, as both models see them.
    pub along: Vec<ComparedToken>,
}

/// A token of the clean continuation: both models have seen the prompt and the clean tokens before it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ComparedToken {
    /// The token.
    pub token: u32,
    /// The KL divergence of the changed from the clean distribution of this token, `sum(p ln(p / q))` with clean `p`, in nats.
    pub kl: f64,
    /// The most likely token under the intervention.
    pub changed_top1: u32,
    /// The most likely token of the unchanged model.
    pub clean_top1: u32,
}

impl Comparison {
    /// The first token, counted from the end of the prompt, at which the two texts part; none where they are equal.
    pub fn parts_at(&self) -> Option<usize> {
        let (clean, changed) = (&self.clean.tokens, &self.changed.tokens);
        let common = clean.iter().zip(changed).take_while(|(clean, changed)| clean == changed).count();
        (common < clean.len().max(changed.len())).then_some(common)
    }

    /// The mean KL divergence along the clean continuation, in nats; none where there is no token.
    pub fn mean_kl(&self) -> Option<f64> {
        let sum: f64 = self.along.iter().map(|token| token.kl).sum();
        (!self.along.is_empty()).then(|| sum / self.along.len() as f64)
    }
}

impl Generator<'_> {
    /// Continues prompts twice, by the unchanged model and under the intervention, and measures along the clean continuations
    /// how far the distributions of the next token are from each other.
    ///
    /// # Errors
    /// As [`run`](Generator::run).
    pub fn compare(&self, prompts: &[Vec<u32>]) -> Result<Vec<Comparison>> {
        // Each text also runs alone, and may be too short for an edit.
        let changing = self.clone().with_longest_prompt(prompts.iter().map(Vec::len).max().unwrap_or(0));
        let unchanged = changing.clone().with_intervention(Intervention::none(self.model.n_layers()));
        let pairs = unchanged.run(prompts)?.into_iter().zip(changing.run(prompts)?);
        let compared = |(index, (clean, changed)): (usize, (Generation, Generation))| {
            let along = changing.along(&unchanged, &clean, index)?;
            Ok(Comparison { clean, changed, along })
        };
        pairs.enumerate().map(compared).collect()
    }

    /// Runs the clean text of prompt `index` under both, and reads as many positions at once as logits fit.
    fn along(&self, unchanged: &Generator, clean: &Generation, index: usize) -> Result<Vec<ComparedToken>> {
        if clean.tokens.is_empty() {
            return Ok(Vec::new());
        }
        let (n_prompt, at_once) = (clean.prompt.len(), rows_at_once(self.model));
        let resids = [unchanged.resid_behind(clean, index)?, self.resid_behind(clean, index)?];
        let mut along = Vec::with_capacity(clean.tokens.len());
        for (tile, tokens) in clean.tokens.chunks(at_once).enumerate() {
            let logits = |resid: &Tensor<2>| rows(self.model, resid.clone().narrow(0, tile * at_once, tokens.len()));
            let (of_clean, of_changed) = (logits(&resids[0])?, logits(&resids[1])?);
            for (&token, (clean, changed)) in tokens.iter().zip(of_clean.iter().zip(&of_changed)) {
                let position = n_prompt + along.len() - 1;
                let kl = kl(clean, changed).ok_or(GenerateError::NotFinite { index, position })?;
                along.push(ComparedToken { token, kl, changed_top1: top1(changed), clean_top1: top1(clean) });
            }
        }
        Ok(along)
    }

    /// The residual streams `[tokens, d_model]` from which the tokens after prompt `index` are predicted.
    fn resid_behind(&self, text: &Generation, index: usize) -> Result<Tensor<2>> {
        let (n_prompt, n_tokens) = (text.prompt.len(), text.tokens.len());
        let ids = [&text.prompt[..], &text.tokens[..n_tokens - 1]].concat();
        let mut run = self.start(1, self.longest(n_prompt))?.with_windows(vec![index]).recomputing();
        let resid: Tensor<3> = run.extend(&[ids], &mut NoTap)?;
        let [_, _, d_model] = resid.dims();
        Ok(resid.narrow(1, n_prompt - 1, n_tokens).reshape([n_tokens, d_model]))
    }
}
