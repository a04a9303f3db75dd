//! Activation patching over pairs of prompts: [`ActivationPatching`], in a [`PatchDirection`] or both.

mod bootstrap;
mod encoded;
mod maps;
mod pairs;
mod part;
mod reading;
mod run;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stratigraph_core::{Hook, HookSet, ModelShape};
use stratigraph_probes::metrics::Metric;

pub use encoded::{EncodedPairs, TokenPair};
pub use pairs::{FittingPairs, PromptPair, PromptPairs};
pub use part::PatchingPart;

use crate::job::JobPart;
use crate::{Findings, Measurement, Needs, OwnWork, Result, StudyContext, StudyError, Work};
use reading::AnswerMetric;
use run::GroupRun;

/// The direction of a patch between the two prompts of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchDirection {
    /// Clean activations into the corrupted run: which of them are enough to restore the answer.
    Denoise,
    /// Corrupted activations into the clean run: which clean ones the answer needs.
    Noise,
}

impl PatchDirection {
    /// Both.
    pub const ALL: [PatchDirection; 2] = [PatchDirection::Denoise, PatchDirection::Noise];
}

impl fmt::Display for PatchDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PatchDirection::Denoise => "denoise",
            PatchDirection::Noise => "noise",
        })
    }
}

/// Activation patching over pairs of prompts: one activation of one prompt is put into the run of the other.
///
/// The metric is the difference of the logits of a pair's two answers at the last position, or another one
/// ([`with_metric`](Self::with_metric)). It is normalised for each pair, in both directions: 1 is its value after the clean
/// prompt and 0 its value after the corrupted one.
///
/// For each direction (`denoise`, `noise`) it adds
/// - matrices `patch_resid_pre_denoise`, `patch_attn_out_denoise`, `patch_mlp_out_denoise`, `[layer, position]`: one position
///   is patched. Positions are counted from the end, -1 is the last;
/// - the matrix `patch_z_heads_denoise`, `[layer, head]`: one head is patched at all positions;
/// - the curve `patch_resid_pre_last_denoise` over layers, the last position, with the values of each pair, and bounds of its
///   95 % interval `.._ci_low` and `.._ci_high` by a bootstrap over pairs.
///
/// Values are `patch_clean_logit_difference`, `patch_corrupted_logit_difference`, `patch_pairs`, and `patch_pairs_left_out`:
/// pairs whose two prompts hardly differ in the metric, which cannot be normalised ([`with_least_difference`]).
///
/// [`with_least_difference`]: Self::with_least_difference
///
/// ```
/// use stratigraph_models::Checkpoint;
/// use stratigraph_study::measurements::{ActivationPatching, PromptPair, PromptPairs};
/// use stratigraph_study::{Backend, Study};
///
/// let checkpoint = Checkpoint::open("../../models/tiny")?;
/// let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
/// let pair = PromptPair::new("The man that I know", "The men that I know", " was", " were");
/// let pairs = PromptPairs::new(vec![pair]).encode(&model, |text| tokenizer.encode(text))?;
///
/// let windows = tokenizer.prompt("A study needs a corpus, whatever it measures.")?;
/// let findings = Study::new(&model).add(ActivationPatching::new(pairs)).run(&windows)?;
/// let map = findings.matrix("patch_resid_pre_denoise")?;
/// assert_eq!((map.rows.len(), map.columns.label(4)), (12, "position from the end -1".to_owned()));
/// assert!((map.values[0][1] - 1.0).abs() < 1e-3); // before the first layer the prompts differ in the second token alone
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ActivationPatching {
    pairs: EncodedPairs,
    hooks: Vec<Hook>,
    directions: Vec<PatchDirection>,
    metric: AnswerMetric,
    least_difference: f64,
}

impl ActivationPatching {
    /// Its name on the command line.
    pub const NAME: &str = "patching";

    /// Pairs whose prompts differ by less than this in the logit difference are left out by default.
    pub const LEAST_LOGIT_DIFFERENCE: f64 = 0.5;

    /// Of these pairs in both directions: `hook_resid_pre`, `hook_attn_out` and `hook_mlp_out` by position and `hook_z` by
    /// head.
    pub fn new(pairs: EncodedPairs) -> Self {
        Self {
            pairs,
            hooks: vec![Hook::ResidPre, Hook::AttnOut, Hook::MlpOut, Hook::Z],
            directions: PatchDirection::ALL.to_vec(),
            metric: AnswerMetric::LogitDifference,
            least_difference: Self::LEAST_LOGIT_DIFFERENCE,
        }
    }

    /// With other hooks. Those with an axis of heads are patched by head, the others by position.
    pub fn with_hooks(mut self, hooks: impl IntoIterator<Item = Hook>) -> Self {
        self.hooks = hooks.into_iter().collect();
        self.hooks.sort();
        self.hooks.dedup();
        self
    }

    /// In these directions.
    pub fn with_directions(mut self, directions: impl IntoIterator<Item = PatchDirection>) -> Self {
        self.directions = directions.into_iter().collect();
        self.directions.sort();
        self.directions.dedup();
        self
    }

    /// With another metric at the last position, normalised in the same way; names of what is found end with its name. A pair
    /// whose prompts differ by less than `least_difference`, in the metric's unit, is left out.
    ///
    /// The token that follows is the pair's answer, so that the metric may be its loss or its rank. A metric that compares
    /// with the clean distribution compares with that after the clean prompt.
    pub fn with_metric(mut self, metric: impl Metric + 'static, least_difference: f64) -> Self {
        self.metric = AnswerMetric::Other(Arc::new(metric));
        self.least_difference = least_difference;
        self
    }

    /// Leaves out pairs whose prompts differ by less than this in the metric; by default
    /// [`LEAST_LOGIT_DIFFERENCE`](Self::LEAST_LOGIT_DIFFERENCE).
    pub fn with_least_difference(self, least_difference: f64) -> Self {
        Self { least_difference, ..self }
    }

    /// The end of the names: empty for the logit difference, and else the name of the metric.
    fn suffix(&self) -> String {
        match self.metric {
            AnswerMetric::LogitDifference => String::new(),
            AnswerMetric::Other(_) => format!("_{}", self.metric.name()),
        }
    }

    fn full_name(&self) -> String {
        format!("{}{}", Self::NAME, self.suffix())
    }

    /// The title of a map whose name the catalogue does not have.
    fn title(&self, hook: Hook, direction: PatchDirection) -> Option<String> {
        let metric = match self.metric {
            AnswerMetric::LogitDifference => return None,
            AnswerMetric::Other(_) => self.metric.name().replace('_', " "),
        };
        Some(format!("Patching {hook}, {direction}: {metric}"))
    }

    /// Refuses what cannot be patched in a model.
    fn check_all(&self, context: &StudyContext) -> Result<()> {
        let shape = context.model.shape();
        let cannot = |reason: String| Err(StudyError::CannotMeasure { name: self.full_name(), reason });
        if self.hooks.is_empty() || self.directions.is_empty() {
            return cannot("there is no hook or no direction to patch".to_owned());
        }
        if let Some(hook) = self.hooks.iter().find(|hook| !hook.is_in_block()) {
            return cannot(format!("`{hook}` is outside the layers; patch hook_resid_pre of layer 0 instead"));
        }
        if let Some(hook) = self.hooks.iter().find(|hook| n_columns(**hook, &shape, 1) == 0) {
            return cannot(format!("`{hook}` is patched by head, and the model does not say how many heads it has"));
        }
        if !(self.least_difference > 0.0 && self.least_difference.is_finite()) {
            let least = self.least_difference;
            return cannot(format!("the least difference of a pair's prompts has to be above 0, and it is {least}"));
        }
        if self.pairs.pairs().is_empty() {
            return Err(StudyError::NoPairs);
        }
        self.metric.check(shape.d_vocab)?;
        self.pairs.check(context.model)
    }

    fn measure(&self, context: &StudyContext, findings: &mut Findings, done: &mut dyn FnMut(u64)) -> Result<()> {
        let (model, shape) = (context.model, context.model.shape());
        let cached = |seq_len: usize| 2 * run::cached_bytes(self, &shape, seq_len).max(1);
        let groups = self.pairs.groups(|seq_len| context.budget.bytes / 4 / cached(seq_len))?;
        let mut outcomes = Vec::new();
        for group in &groups {
            let run = GroupRun { patching: self, model, group, budget: context.budget };
            outcomes.extend(run.outcomes(done)?);
        }
        outcomes.sort_by_key(|outcome| outcome.pair);
        maps::add(self, &shape, (&outcomes[..], context.seed), findings)
    }
}

impl Measurement for ActivationPatching {
    fn name(&self) -> String {
        self.full_name()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        let hooks = self.hooks.iter().copied().filter(|hook| hook.is_in_block());
        Needs::hooks(hooks.collect::<HookSet>()).with_n_layers(1)
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        self.check_all(context)?;
        let (context, shape) = (*context, context.model.shape());
        let of_group = |group: &encoded::PairGroup| run::work(self, &shape, group.seq_len(), group.len());
        let units: u64 = self.pairs.groups(|_| usize::MAX)?.iter().map(of_group).sum();
        let run = move |findings: &mut Findings, progress: &mut dyn FnMut(u64)| {
            let mut left = units; // patches that run in several parts do more work: they run the shared layers again
            self.measure(&context, findings, &mut |done| {
                let counted = done.min(left);
                left -= counted;
                progress(counted);
            })?;
            progress(left);
            Ok(())
        };
        let part = PatchingPart::of(self).map(JobPart::Patching);
        Ok(vec![Work::Own(OwnWork { work: units, run: Box::new(run), part })])
    }
}

/// `patch_resid_pre`, or `patch_z_heads` for a hook that is patched by head.
fn map_name(hook: Hook) -> String {
    let name = hook.name().rsplit('.').next().unwrap_or(hook.name());
    let heads = if hook.has_heads() { "_heads" } else { "" };
    format!("patch_{}{heads}", name.trim_start_matches("hook_"))
}

/// How many columns the map of a hook has: positions, or heads.
fn n_columns(hook: Hook, shape: &ModelShape, seq_len: usize) -> usize {
    if hook.has_heads() { shape.n_heads_at(hook).unwrap_or(0) } else { seq_len }
}
