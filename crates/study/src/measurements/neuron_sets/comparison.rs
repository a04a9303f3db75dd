//! Ablated classes of neurons against random sets: [`NeuronSetComparison`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stratigraph_core::{Moments, PerSequence};
use stratigraph_profile::{Axis, Curve, Estimate, ReplicateUnit};

use super::super::empty_curve;
use super::NeuronSets;
use crate::derived::Measured;
use crate::runs::Runs;
use crate::{Findings, InterventionScores, MetricUnit, Result, StudyError, paired_difference};

/// Classes of neurons and the random sets that each is compared with: turns their scores into curves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeuronSetComparison {
    /// What the curves and the interventions are named after.
    pub(crate) name: String,
    /// Of every set, in the order of `labels`.
    pub(super) sizes: Vec<usize>,
    pub(super) labels: Vec<String>,
    /// The labels of those that were run.
    pub(super) measured: Vec<String>,
    /// Random sets for each of them.
    pub(super) n_random: usize,
}

impl NeuronSetComparison {
    /// What it needs and these do not have.
    pub(crate) fn missing(&self, runs: &Runs) -> Option<String> {
        let n = self.n_random.checked_add(1).and_then(|each| each.checked_mul(self.measured.len()));
        let is_known = [NeuronSets::ZERO, NeuronSets::MEAN].contains(&&*self.name) && self.n_random > 1;
        let is_there = is_known && self.sizes.len() == self.labels.len() && runs.n_points(&self.name) == n;
        (n.is_none() || !is_there)
            .then(|| format!("{} classes with {} random sets each", self.measured.len(), self.n_random))
    }

    pub(crate) fn add(&self, measured: &Measured, findings: &mut Findings) -> Result<()> {
        let missing = || StudyError::CannotMeasure {
            name: self.name.clone(),
            reason: "its interventions were not run".to_owned(),
        };
        let scores = &measured.scores_of(&self.name).ok_or_else(missing)?;
        let name = format!("{}_size", self.name);
        let Curve { axis, unit, .. } = empty_curve(&name, 0);
        let mut sizes = Curve::empty(Axis::labelled(axis.name(), self.labels.clone()), unit);
        self.sizes.iter().for_each(|&size| sizes.push(Estimate::exact(size as f64), Vec::new()));
        findings.add_curve(&name, sizes)?;
        scores.metrics().try_for_each(|it| self.add_metric(scores, it, findings))
    }

    /// The four curves of a metric.
    fn add_metric(
        &self,
        scores: &InterventionScores,
        MetricUnit { metric, unit }: MetricUnit,
        findings: &mut Findings,
    ) -> Result<()> {
        let axis = Axis::labelled("class", self.measured.clone());
        let empty = || Curve::empty(axis.clone(), unit.clone()).with_replicates(ReplicateUnit::Windows, Vec::new());
        let (mut class, mut random, mut spread) = (empty(), empty(), empty());
        let runs = 1 + self.n_random;
        for first in (0..self.measured.len()).map(|nth| nth * runs) {
            let measured: Vec<_> = (first..first + runs).filter_map(|index| scores.get(index, metric)).collect();
            if measured.len() < runs {
                return Ok(());
            }
            let (own, others) = measured.split_at(1);
            push_mean(&mut class, own);
            push_mean(&mut random, others);
            spread.push(Estimate::exact(sample_sd(others)), Vec::new());
        }
        let difference = paired_difference(&class, &random)?;
        for (part, curve) in [("", class), ("random_", random), ("random_sd_", spread), ("difference_", difference)] {
            findings.add_curve(&format!("{}_{part}{metric}", self.name), curve)?;
        }
        Ok(())
    }
}

/// Adds the mean of what several interventions measured as a point of a curve, window by window; its error is over windows.
fn push_mean(curve: &mut Curve, measured: &[&PerSequence]) {
    let share = 1.0 / measured.len() as f64;
    let mut windows = BTreeMap::<usize, f64>::new();
    for it in measured {
        for (window, value) in it.counts().zip(it.means()) {
            *windows.entry(window.sequence).or_default() += share * value;
        }
    }
    let mean = measured.iter().map(|it| share * it.summary().mean).sum();
    let replicates: Vec<f64> = windows.into_values().collect();
    let sem = replicates.iter().copied().collect::<Moments>().sem();
    curve.push(Estimate::new(mean, sem), replicates);
}

/// The sample standard deviation of what several interventions measured over all windows.
fn sample_sd(measured: &[&PerSequence]) -> f64 {
    let all: Moments = measured.iter().map(|it| it.summary().mean).collect();
    (all.m2 / (all.count as f64 - 1.0)).sqrt()
}
