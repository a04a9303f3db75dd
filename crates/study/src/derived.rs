//! Numbers that are derived from others: [`Derived`], from what [`Measured`] holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stratigraph_core::PerSequence;
use stratigraph_probes::metrics::Metrics;
use stratigraph_profile::Unit;

use crate::measurements::{EffectTotals, GenerativeCurves, NeuronSetComparison, TaskCurves};
use crate::run_scores::RunScores;
use crate::runs::Runs;
use crate::{Findings, InterventionScores, Result, StudyError, WindowMeasures, paired_difference};

/// Numbers that are derived from others when all of those are measured. It is plain data, which a job keeps with its plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Derived {
    /// The difference of two sweeps.
    Difference(SweepDifference),
    /// Total effects of sublayers, and self-repair.
    EffectTotals(EffectTotals),
    /// Classes of neurons compared with random sets.
    NeuronSets(NeuronSetComparison),
    /// The scores of a benchmark.
    Task(TaskCurves),
    /// The scores of a benchmark of which the model writes the answers.
    Generative(GenerativeCurves),
}

/// Curves `NAME_METRIC` of the difference of two sweeps over one axis for each metric, window by window, with the standard errors of
/// the paired differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SweepDifference {
    /// What the curves are named after.
    pub name: String,
    /// The sweep from which is subtracted.
    pub minuend: String,
    /// The sweep that is subtracted.
    pub subtrahend: String,
}

impl SweepDifference {
    /// `minuend - subtrahend`, under a name.
    pub fn new(name: impl Into<String>, minuend: impl Into<String>, subtrahend: impl Into<String>) -> Self {
        Self { name: name.into(), minuend: minuend.into(), subtrahend: subtrahend.into() }
    }

    fn add(&self, measured: &Measured, findings: &mut Findings) -> Result<()> {
        for metric in measured.units.keys() {
            let of = |sweep: &str| findings.curve(&format!("{sweep}_{metric}"));
            let difference = paired_difference(of(&self.minuend)?, of(&self.subtrahend)?)?;
            findings.add_curve(&format!("{}_{metric}", self.name), difference)?;
        }
        Ok(())
    }
}

impl Derived {
    /// The name of the measurement that it is of.
    pub(crate) fn name(&self) -> &str {
        match self {
            Derived::Difference(difference) => &difference.name,
            Derived::EffectTotals(_) => EffectTotals::NAME,
            Derived::NeuronSets(sets) => &sets.name,
            Derived::Task(curves) => curves.name(),
            Derived::Generative(curves) => curves.name(),
        }
    }

    /// Refuses metrics, or sweeps with their numbers of interventions, from which it cannot be derived.
    pub(crate) fn check(&self, metrics: &Metrics, runs: &Runs) -> Result<()> {
        let missing = match self {
            Derived::Difference(SweepDifference { minuend, subtrahend, .. }) => {
                [minuend, subtrahend].into_iter().find(|sweep| runs.n_points(sweep).is_none()).cloned()
            }
            Derived::EffectTotals(totals) => totals.missing(metrics, runs),
            Derived::NeuronSets(sets) => sets.missing(runs),
            Derived::Task(_) | Derived::Generative(_) => None,
        };
        let reason = |missing: String| format!("it is made of {missing}, which is not measured");
        missing.map_or(Ok(()), |missing| {
            Err(StudyError::CannotMeasure { name: self.name().to_owned(), reason: reason(missing) })
        })
    }

    /// Adds it to the findings, which have everything else.
    pub(crate) fn add(&self, measured: &Measured, findings: &mut Findings) -> Result<()> {
        match self {
            Derived::Difference(difference) => difference.add(measured, findings),
            Derived::EffectTotals(totals) => totals.add(measured, findings),
            Derived::NeuronSets(sets) => sets.add(measured, findings),
            Derived::Task(curves) => curves.add(findings),
            Derived::Generative(curves) => curves.add(findings),
        }
    }
}

/// What was measured, beside the findings.
pub(crate) struct Measured<'s> {
    pub(crate) runs: &'s Runs,
    /// Of each distinct intervention.
    pub(crate) scores: &'s [RunScores],
    /// Of each metric.
    pub(crate) units: &'s BTreeMap<String, Unit>,
    /// What measurements found window by window.
    pub(crate) windows: &'s [WindowMeasures],
}

impl<'s> Measured<'s> {
    /// The scores of the interventions of a sweep.
    pub(crate) fn scores_of(&self, sweep: &str) -> Option<InterventionScores<'s>> {
        Some(self.runs.scores_of(self.runs.sweep_index(sweep)?, self.scores, self.units))
    }

    /// What a measurement kept window by window under a name.
    pub(crate) fn kept(&self, name: &str) -> Option<&'s PerSequence> {
        self.windows.iter().find_map(|measures| measures.kept(name))
    }
}
