//! The target of steering, measured on prompts: [`SteeringTarget`].

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use stratigraph_core::{
    CoreError, Edit, EditTap, ModelShape, PerSequence, ResidualModel, RunModel, TokenWindows, check_token_ids,
};
use stratigraph_probes::ProbeError;
use stratigraph_probes::readout::Readout;
use stratigraph_profile::{Axis, Curve, ReplicateUnit, Unit};
use stratigraph_surgery::Budget;

use super::{TARGET, batches, cannot};
use crate::findings::estimate;
use crate::progress::{pass_work, readout_work};
use crate::{Findings, Result, StudyContext};

/// Tokens that steering should make more likely after some prompts.
///
/// It is measured at the last position of each prompt: the mean log-probability of the tokens, or the mean of their logits less
/// the mean of other tokens' logits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "PlainTarget", try_from = "PlainTarget")]
pub struct SteeringTarget {
    prompts: Vec<TokenWindows>,
    tokens: Vec<u32>,
    against: Vec<u32>,
}

impl SteeringTarget {
    /// The log-probability of tokens after prompts, in nats. The windows are prompts; prompts of different lengths are in
    /// different [`TokenWindows`].
    pub fn new(prompts: impl IntoIterator<Item = TokenWindows>, tokens: impl IntoIterator<Item = u32>) -> Self {
        let (prompts, tokens) = (prompts.into_iter().collect(), tokens.into_iter().collect());
        Self { prompts, tokens, against: Vec::new() }
    }

    /// Measures the logits of the tokens minus those of these tokens instead.
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
        let all: Vec<_> = self.tokens.iter().chain(&self.against).collect();
        if let Some((_, token)) = all.iter().enumerate().find(|(index, token)| all[..*index].contains(token)) {
            return Err(cannot(format!(
                "the token {token} is given twice, as a target or as what it is measured against"
            )));
        }
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

/// A target under the edits of each point of an axis.
pub(crate) struct TargetRuns<'a> {
    pub(crate) target: &'a SteeringTarget,
    pub(crate) axis: Axis,
    /// Of each point.
    pub(crate) edits: Vec<Vec<Edit>>,
}

impl TargetRuns<'_> {
    /// Refuses what a model cannot run.
    pub(crate) fn check(&self, model: &dyn ResidualModel) -> Result<()> {
        self.edits.iter().try_for_each(|edits| self.target.check(model, edits))
    }

    /// About how many multiplications a point takes.
    fn each(&self, shape: &ModelShape) -> u64 {
        pass_work(shape, self.target.n_tokens()) + readout_work(shape, self.target.n_prompts())
    }

    /// About how many multiplications all of it takes.
    pub(crate) fn units(&self, shape: &ModelShape) -> u64 {
        self.each(shape) * self.edits.len() as u64
    }

    /// Measures the target at each point, and adds its curve.
    pub(crate) fn add(
        &self,
        context: &StudyContext,
        findings: &mut Findings,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let StudyContext { model, budget, .. } = *context;
        let curve = Curve::empty(self.axis.clone(), self.target.unit());
        let mut curve = curve.with_replicates(ReplicateUnit::Prompts, Vec::new());
        for edits in &self.edits {
            let measured = self.target.measure(model, edits, budget)?;
            curve.push(estimate(&measured), measured.means());
            progress(self.each(&model.shape()));
        }
        findings.add_curve(TARGET, curve)
    }
}

/// A target as plain data.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainTarget {
    prompts: Vec<PlainPrompts>,
    tokens: Vec<u32>,
    against: Vec<u32>,
}

/// Prompts of one length.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainPrompts {
    n_tokens: usize,
    ids: Vec<u32>,
}

impl From<SteeringTarget> for PlainTarget {
    fn from(SteeringTarget { prompts, tokens, against }: SteeringTarget) -> Self {
        let plain = |windows: &TokenWindows| PlainPrompts { n_tokens: windows.seq_len(), ids: windows.ids().to_vec() };
        Self { prompts: prompts.iter().map(plain).collect(), tokens, against }
    }
}

impl TryFrom<PlainTarget> for SteeringTarget {
    type Error = CoreError;

    fn try_from(PlainTarget { prompts, tokens, against }: PlainTarget) -> std::result::Result<Self, CoreError> {
        let windows = prompts.iter().map(|it| TokenWindows::new(&it.ids, it.n_tokens));
        Ok(Self { prompts: windows.collect::<std::result::Result<_, _>>()?, tokens, against })
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}
