//! The target of steering, measured on prompts: [`SteeringTarget`].

use burn::tensor::Tensor;
use stratigraph_core::{Edit, EditTap, PerSequence, ResidualModel, RunModel, TokenWindows, check_token_ids};
use stratigraph_probes::ProbeError;
use stratigraph_probes::readout::Readout;
use stratigraph_profile::Unit;
use stratigraph_surgery::Budget;

use super::{TARGET, batches, cannot};
use crate::Result;

/// Tokens that steering should make more likely after some prompts.
///
/// It is measured at the last position of each prompt: the mean log-probability of the tokens, or the mean of their logits less
/// the mean of other tokens' logits.
#[derive(Debug, Clone, PartialEq)]
pub struct SteeringTarget {
    prompts: Vec<TokenWindows>,
    tokens: Vec<u32>,
    against: Vec<u32>,
}

impl SteeringTarget {
    /// The log-probability of tokens after prompts, in nats. The windows are prompts; those of several lengths stand in
    /// several [`TokenWindows`].
    pub fn new(prompts: impl IntoIterator<Item = TokenWindows>, tokens: impl IntoIterator<Item = u32>) -> Self {
        let (prompts, tokens) = (prompts.into_iter().collect(), tokens.into_iter().collect());
        Self { prompts, tokens, against: Vec::new() }
    }

    /// Measures the logits of the tokens less those of these tokens instead.
    pub fn against(self, tokens: impl IntoIterator<Item = u32>) -> Self {
        Self { against: tokens.into_iter().collect(), ..self }
    }

    pub(super) fn unit(&self) -> Unit {
        if self.against.is_empty() { Unit::Nats } else { Unit::Logits }
    }

    /// How many tokens the prompts have.
    pub(super) fn n_tokens(&self) -> usize {
        self.prompts.iter().map(|windows| windows.ids().len()).sum()
    }

    /// How many prompts there are.
    pub(super) fn n_prompts(&self) -> usize {
        self.prompts.iter().map(TokenWindows::n_sequences).sum()
    }

    /// Refuses what a model cannot run under some edits.
    pub(super) fn check(&self, model: &dyn ResidualModel, edits: &[Edit]) -> Result<()> {
        if self.n_prompts() == 0 {
            return Err(cannot("there are no prompts to measure the target on".to_owned()));
        }
        if self.tokens.is_empty() {
            return Err(cannot("the target has no tokens".to_owned()));
        }
        check_token_ids(&self.tokens, model.d_vocab())?;
        check_token_ids(&self.against, model.d_vocab())?;
        let shape = model.shape();
        for windows in &self.prompts {
            windows.check(model)?;
            edits.iter().try_for_each(|edit| edit.check(&shape, shape.n_layers, windows.seq_len()))?;
        }
        Ok(())
    }

    /// The target of each prompt under some edits, which were [checked](SteeringTarget::check). Prompts of one length run
    /// together as far as the budget allows.
    pub(super) fn measure(&self, model: &dyn ResidualModel, edits: &[Edit], budget: Budget) -> Result<PerSequence> {
        let readout = Readout::new(model).with_bytes(budget.bytes / 4);
        let left = Budget { bytes: budget.bytes - budget.bytes / 4, ..budget };
        let mut measured = PerSequence::default();
        for windows in &self.prompts {
            let position = windows.seq_len() - 1;
            for batch in batches(model, windows, left)? {
                let mut tap = EditTap::new(edits, batch.clone().collect());
                let resid = model.forward(windows.batch(batch, &model.device()), &mut tap)?;
                let last = resid.narrow(1, position, 1).squeeze_dim(1); // [batch, d_model]
                let first = measured.counts().count();
                for (sequence, value) in (first..).zip(self.of_rows(&readout, last)?) {
                    if !value.is_finite() {
                        let metric = TARGET.to_owned();
                        return Err(ProbeError::NotFinite { metric, value, sequence, position }.into());
                    }
                    measured.push(sequence, value);
                }
            }
        }
        Ok(measured)
    }

    /// The target at rows `[rows, d_model]`.
    fn of_rows(&self, readout: &Readout, rows: Tensor<2>) -> Result<Vec<f64>> {
        if self.against.is_empty() {
            return Ok(readout.log_probs(rows, &self.tokens)?.iter().map(|row| mean(row.iter().copied())).collect());
        }
        let logits = |tokens: &[u32]| -> Result<Vec<f64>> {
            let logits = readout.logits_of(rows.clone(), tokens)?;
            Ok(logits.iter().map(|row| mean(row.iter().map(|logit| f64::from(*logit)))).collect())
        };
        let pairs = logits(&self.tokens)?.into_iter().zip(logits(&self.against)?);
        Ok(pairs.map(|(target, other)| target - other).collect())
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}
