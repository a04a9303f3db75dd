//! What a job measures apart from the scores of interventions: [`JobPart`].

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::plan::bad;
use crate::measurements::{EffectsPass, GenerativePart, PatchingPart, Steering, SteeringTarget, TargetRuns, TaskPart};
use crate::runs::{NamedSweep, Runs};
use crate::{Findings, Measurement, Result, StudyContext, WindowMeasures, Work};

/// A part of a measurement as plain data, with which any process of a job does it: window by window, or once because it does not
/// depend on the corpus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobPart {
    /// Logit attribution and direct effects of sublayers, window by window.
    Effects,
    /// Activation patching over pairs of prompts.
    Patching(PatchingPart),
    /// The target of steering on its prompts, under the interventions of the sweep `steer`.
    SteeringTarget(SteeringTarget),
    /// Some items of a benchmark under sweeps.
    Task(TaskPart),
    /// Some items of a benchmark under sweeps, of which the model writes the answers.
    Generative(GenerativePart),
}

impl JobPart {
    /// What a reader calls it.
    pub(super) fn name(&self) -> &str {
        match self {
            JobPart::Effects => "direct effects",
            JobPart::Patching(_) => "patching",
            JobPart::SteeringTarget(_) => "steering target",
            JobPart::Task(part) => part.name(),
            JobPart::Generative(part) => part.name(),
        }
    }

    /// Whether it writes texts, for which a [`ShardRun`](super::ShardRun) takes a tokenizer.
    pub fn takes_text(&self) -> bool {
        matches!(self, JobPart::Generative(_))
    }

    /// Whether it is measured window by window, and not once.
    pub(super) fn is_by_window(&self) -> bool {
        matches!(self, JobPart::Effects)
    }

    /// Refuses a plan in which it cannot be done.
    pub(super) fn check(&self, runs: &Runs) -> Result<()> {
        match self {
            JobPart::Effects => Ok(()),
            JobPart::Patching(part) => part.measurement().map(drop),
            JobPart::SteeringTarget(target) => target_runs(target, runs).map(drop),
            JobPart::Task(part) => part.check(),
            JobPart::Generative(part) => part.check(),
        }
    }

    /// About how many multiplications a window takes, or all of it where it is done once.
    pub(super) fn units(&self, context: &StudyContext, runs: &Runs) -> Result<u64> {
        match self {
            JobPart::Effects => Ok(EffectsPass::new(context)?.window_units()),
            JobPart::Patching(part) => {
                let patching = part.measurement()?;
                let work = own(patching.work(context)?);
                Ok(work.map(|own| own.work).sum())
            }
            JobPart::SteeringTarget(target) => Ok(target_runs(target, runs)?.units(&context.model.shape())),
            JobPart::Task(part) => part.work(context),
            JobPart::Generative(part) => part.work(context),
        }
    }

    /// Measures some windows, where it is measured window by window.
    pub(super) fn measure_windows(
        &self,
        context: &StudyContext,
        windows: Range<usize>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<WindowMeasures> {
        match self {
            JobPart::Effects => EffectsPass::new(context)?.measure(windows, progress),
            _ => Ok(WindowMeasures::default()),
        }
    }

    /// Measures all of it, where it is done once.
    pub(super) fn measure(
        &self,
        context: &StudyContext,
        (runs, findings): (&Runs, &mut Findings),
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        match self {
            JobPart::Effects => Ok(()),
            JobPart::Patching(part) => {
                let patching = part.measurement()?;
                patching.check(context)?;
                own(patching.work(context)?).try_for_each(|own| (own.run)(findings, progress))
            }
            JobPart::Task(part) => part.measure(context, findings, progress),
            JobPart::Generative(part) => part.measure(context, findings, progress),
            JobPart::SteeringTarget(target) => {
                let runs = target_runs(target, runs)?;
                runs.check(context.model)?;
                runs.add(context, findings, progress)
            }
        }
    }
}

/// The work that a measurement does by itself.
fn own(work: Vec<Work>) -> impl Iterator<Item = crate::OwnWork> {
    work.into_iter().filter_map(|work| match work {
        Work::Own(own) => Some(own),
        _ => None,
    })
}

/// The target of steering under the edits of the sweep of its strengths.
fn target_runs<'a>(target: &'a SteeringTarget, runs: &Runs) -> Result<TargetRuns<'a>> {
    let missing = || bad(format!("it measures a target of steering and has no sweep `{}`", Steering::SWEEP));
    let NamedSweep { axes, interventions, .. } = runs.sweep(Steering::SWEEP).ok_or_else(missing)?;
    let [axis] = &axes[..] else { return Err(missing()) };
    let edits = interventions.iter().map(|intervention| intervention.edits().to_vec()).collect();
    Ok(TargetRuns { target, axis: axis.clone(), edits })
}
