//! What a study or a job runs, and how scores become curves: [`Runs`].

use std::collections::BTreeMap;

use stratigraph_profile::{Axis, Estimate, InterventionRecord, Matrix, Unit};
use stratigraph_surgery::{Intervention, SweepPoints};

use crate::findings::measured_curve;
use crate::run_scores::RunScores;
use crate::{Findings, InterventionScores, Result, differences, grouped};

/// A sweep with its points.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamedSweep {
    pub(crate) name: String,
    /// None where a measurement makes curves of the scores itself.
    pub(crate) axes: Vec<Axis>,
    pub(crate) interventions: Vec<Intervention>,
}

impl NamedSweep {
    pub(crate) fn new(name: String, SweepPoints { axes, interventions, .. }: SweepPoints) -> Self {
        Self { name, axes, interventions }
    }
}

/// The interventions of some sweeps, and of a user's own, each distinct one once; the first is the unchanged model.
#[derive(Debug, Clone)]
pub(crate) struct Runs {
    sweeps: Vec<NamedSweep>,
    singles: Vec<Intervention>,
    distinct: Vec<Intervention>,
    /// The index of each among the distinct ones, by its text.
    index: BTreeMap<String, usize>,
}

/// An intervention with the sweep it is a point of.
pub(crate) struct Run<'a> {
    /// The sweep, and the index of the point.
    pub(crate) point: Option<(&'a NamedSweep, usize)>,
    pub(crate) intervention: &'a Intervention,
    /// Which of the distinct ones it is.
    pub(crate) index: usize,
}

impl Runs {
    pub(crate) fn new(n_layers: usize, sweeps: Vec<NamedSweep>, singles: Vec<Intervention>) -> Self {
        let (mut distinct, mut index) = (Vec::new(), BTreeMap::new());
        let clean = Intervention::none(n_layers).with_name(InterventionRecord::CLEAN);
        let of_sweeps = sweeps.iter().flat_map(|sweep| &sweep.interventions);
        for intervention in std::iter::once(&clean).chain(of_sweeps).chain(&singles) {
            index.entry(intervention.to_string()).or_insert_with(|| {
                distinct.push(intervention.clone());
                distinct.len() - 1
            });
        }
        Self { sweeps, singles, distinct, index }
    }

    /// Each distinct intervention once; the first is the unchanged model.
    pub(crate) fn distinct(&self) -> &[Intervention] {
        &self.distinct
    }

    /// The unchanged model, the points of every sweep, and the user's own.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Run<'_>> {
        let index = |intervention: &Intervention| self.index[&intervention.to_string()];
        let clean = Run { point: None, intervention: &self.distinct[0], index: 0 };
        let point = move |sweep, (nth, intervention)| Run {
            point: Some((sweep, nth)),
            intervention,
            index: index(intervention),
        };
        let points = self
            .sweeps
            .iter()
            .flat_map(move |sweep| sweep.interventions.iter().enumerate().map(move |nth| point(sweep, nth)));
        let single = move |intervention| Run { point: None, intervention, index: index(intervention) };
        std::iter::once(clean).chain(points).chain(self.singles.iter().map(single))
    }

    /// What was measured at the points of the sweep with an index, from the scores of each distinct intervention.
    pub(crate) fn scores_of<'s>(
        &self,
        sweep: usize,
        scores: &'s [RunScores],
        units: &'s BTreeMap<String, Unit>,
    ) -> InterventionScores<'s> {
        let interventions = &self.sweeps[sweep].interventions;
        let of = |intervention: &Intervention| &scores[self.index[&intervention.to_string()]].all;
        InterventionScores { scores: interventions.iter().map(of).collect(), units }
    }

    /// Adds curves, matrices and interventions, from the scores of each distinct one. `is_clean` says of a metric whether it
    /// is a value of the unchanged model.
    pub(crate) fn collect(
        &self,
        scores: &[RunScores],
        units: &BTreeMap<String, Unit>,
        is_clean: impl Fn(&str) -> bool,
        findings: &mut Findings,
    ) -> Result<()> {
        for (metric, measured) in scores[0].all.iter().filter(|(metric, _)| is_clean(metric)) {
            findings.add_value(&format!("clean_{metric}"), findings.estimate(measured))?;
        }
        grouped::add_clean(&scores[0], units, &is_clean, findings)?;
        for sweep in self.sweeps.iter().filter(|sweep| !sweep.axes.is_empty()) {
            for (metric, unit) in units {
                self.add_sweep(sweep, metric, (scores, unit), findings)?;
            }
            if let [axis] = &sweep.axes[..] {
                let point = |intervention: &Intervention| &scores[self.index[&intervention.to_string()]];
                let points: Vec<_> = sweep.interventions.iter().map(point).collect();
                grouped::add_sweep(&sweep.name, axis, (&points, units), findings)?;
            }
        }
        differences::add(|metric| scores[0].all.get(metric).filter(|_| is_clean(metric)), findings)?;
        for run in self.iter() {
            findings.add_intervention(record(&run, &scores[run.index], findings));
        }
        Ok(())
    }

    fn add_sweep(
        &self,
        sweep: &NamedSweep,
        metric: &str,
        (scores, unit): (&[RunScores], &Unit),
        findings: &mut Findings,
    ) -> Result<()> {
        let indices = sweep.interventions.iter().map(|intervention| self.index[&intervention.to_string()]);
        let measured: Vec<_> = indices.filter_map(|index| scores[index].all.get(metric)).collect();
        let name = format!("{}_{metric}", sweep.name);
        match &sweep.axes[..] {
            [axis] => findings.add_curve(&name, measured_curve(axis.clone(), unit.clone(), measured)),
            [rows, columns] => {
                if let (Axis::Layers { n_layers, .. }, Axis::Heads { n_heads, .. }) = (rows, columns) {
                    let axis = Axis::all_heads(*n_layers, *n_heads);
                    findings.add_curve(&name, measured_curve(axis, unit.clone(), measured.iter().copied()))?;
                }
                let cells = measured.into_iter().map(|it| findings.estimate(it));
                let matrix = Matrix::from_estimates(rows.clone(), columns.clone(), unit.clone(), cells);
                findings.add_matrix(&name, matrix)
            }
            axes => Err(crate::StudyError::TooManyAxes { sweep: sweep.name.clone(), n_axes: axes.len() }),
        }
    }
}

fn record(run: &Run, scores: &RunScores, findings: &Findings) -> InterventionRecord {
    let text = run.intervention.to_string();
    let mut record = InterventionRecord::new(run.intervention.name(), text);
    if let Some((sweep, nth)) = run.point {
        (record.sweep, record.index) = (Some(sweep.name.clone()), Some(nth));
    }
    let metrics = scores.all.iter().map(|(metric, measured)| (metric.to_owned(), findings.estimate(measured)));
    record.metrics = metrics.collect::<BTreeMap<String, Estimate>>();
    record.groups = grouped::records(scores, findings);
    record
}
