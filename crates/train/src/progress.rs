//! What a run reports while it trains: [`TrainingProgress`] after each step, and the [`LossPoint`]s of its loss curve.

use serde::{Deserialize, Serialize};

/// The progress of a run after one of its steps.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct TrainingProgress {
    /// Steps done.
    pub step: usize,
    /// All steps of the run.
    pub n_steps: usize,
    /// The loss of the step's batch, nats per token.
    pub loss: f64,
    /// The point of the loss curve that was recorded after this step, when there was one; its checkpoint is written.
    pub recorded: Option<LossPoint>,
}

/// A point of the loss curve: one line of `loss.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LossPoint {
    /// Steps done.
    pub step: usize,
    /// Tokens that were trained on in these steps; tokens of later epochs count again.
    pub tokens: usize,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// Nats per token, the mean of the batches since the last point.
    pub train_loss: f64,
    /// Nats per token, of the texts that were held out.
    pub held_out_loss: f64,
}

/// The curve as `loss.csv`.
pub(crate) fn loss_csv(curve: &[LossPoint]) -> String {
    let mut csv = String::from("step,tokens,learning_rate,train_loss,held_out_loss\n");
    for LossPoint { step, tokens, learning_rate, train_loss, held_out_loss } in curve {
        csv += &format!("{step},{tokens},{learning_rate:.6},{train_loss:.4},{held_out_loss:.4}\n");
    }
    csv
}
