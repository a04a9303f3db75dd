//! What a study or a job runs, and how scores become curves: [`Runs`].

use std::collections::BTreeMap;
use std::ops::Range;

use stratigraph_probes::ProbeError;
use stratigraph_probes::lens::LensReading;
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
    /// How the residual stream of each point is read; empty where all are read as the model's last one.
    pub(crate) readings: Vec<Option<LensReading>>,
}

/// An intervention, and how its residual stream is read.
type Point<'a> = (&'a Intervention, Option<&'a LensReading>);

impl NamedSweep {
    pub(crate) fn new(name: String, SweepPoints { axes, interventions, .. }: SweepPoints) -> Self {
        Self { name, axes, interventions, readings: Vec::new() }
    }

    /// With a reading for each point.
    pub(crate) fn with_readings(self, readings: Vec<Option<LensReading>>) -> Self {
        Self { readings, ..self }
    }

    /// Says in the findings which lens it was read by, and takes out the numbers of points for which the lens has no map.
    fn mark(&self, findings: &mut Findings) {
        let mut readings = self.readings.iter().flatten();
        readings.next().and_then(|it| it.lens().origin()).iter().for_each(|it| findings.remark(&self.name, it));
        let is_unread = |reading: &LensReading| !reading.lens().reads(reading.position());
        let unread = self.readings.iter().enumerate().filter(|(_, reading)| reading.as_ref().is_some_and(is_unread));
        unread.for_each(|(point, _)| findings.blank(&self.name, point));
    }

    fn points(&self) -> impl Iterator<Item = Point<'_>> {
        let reading = |index: usize| self.readings.get(index)?.as_ref();
        self.interventions.iter().enumerate().map(move |(index, intervention)| (intervention, reading(index)))
    }
}

/// The interventions of some sweeps, and of a user's own, each distinct one once; the first is the unchanged model.
#[derive(Debug, Clone)]
pub(crate) struct Runs {
    sweeps: Vec<NamedSweep>,
    singles: Vec<Intervention>,
    distinct: Vec<Intervention>,
    /// How the residual stream of each distinct one is read.
    readings: Vec<Option<LensReading>>,
    /// The indices of those of a text among the distinct ones, a reading each.
    index: BTreeMap<String, Vec<usize>>,
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
        let clean = Intervention::none(n_layers).with_name(InterventionRecord::CLEAN);
        let empty = Vec::new();
        let mut runs =
            Self { sweeps: empty, singles, distinct: Vec::new(), readings: Vec::new(), index: BTreeMap::new() };
        runs.add((&clean, None));
        sweeps.iter().flat_map(NamedSweep::points).for_each(|point| runs.add(point));
        for single in std::mem::take(&mut runs.singles) {
            runs.add((&single, None));
            runs.singles.push(single);
        }
        Self { sweeps, ..runs }
    }

    /// Adds an intervention to the distinct ones if it is not among them.
    fn add(&mut self, (intervention, reading): Point) {
        let of_text = self.index.entry(intervention.to_string()).or_default();
        if of_text.iter().all(|&other| self.readings[other].as_ref() != reading) {
            of_text.push(self.distinct.len());
            self.distinct.push(intervention.clone());
            self.readings.push(reading.cloned());
        }
    }

    /// Which of the distinct ones an intervention is.
    fn index_of(&self, (intervention, reading): Point) -> usize {
        let of_text = &self.index[&intervention.to_string()];
        let found = of_text.iter().find(|&&index| self.readings[index].as_ref() == reading);
        *found.expect("every intervention was added with its reading")
    }

    /// Each distinct intervention once; the first is the unchanged model.
    pub(crate) fn distinct(&self) -> &[Intervention] {
        &self.distinct
    }

    /// How the residual stream of each distinct intervention is read.
    pub(crate) fn readings(&self) -> &[Option<LensReading>] {
        &self.readings
    }

    /// The unchanged model, the points of every sweep, and the user's own.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Run<'_>> {
        let clean = Run { point: None, intervention: &self.distinct[0], index: 0 };
        let points = self.sweeps.iter().flat_map(move |sweep| {
            sweep.points().enumerate().map(move |(nth, point)| Run {
                point: Some((sweep, nth)),
                intervention: point.0,
                index: self.index_of(point),
            })
        });
        let single = move |intervention| Run { point: None, intervention, index: self.index_of((intervention, None)) };
        std::iter::once(clean).chain(points).chain(self.singles.iter().map(single))
    }

    /// The index of the sweep of a name.
    pub(crate) fn sweep_index(&self, name: &str) -> Option<usize> {
        self.sweeps.iter().position(|sweep| sweep.name == name)
    }

    /// The sweep of a name.
    pub(crate) fn sweep(&self, name: &str) -> Option<&NamedSweep> {
        self.sweeps.iter().find(|sweep| sweep.name == name)
    }

    /// How many interventions the sweep of a name has.
    pub(crate) fn n_points(&self, name: &str) -> Option<usize> {
        self.sweep(name).map(|sweep| sweep.interventions.len())
    }

    /// What was measured at the points of the sweep with an index, from the scores of each distinct intervention.
    pub(crate) fn scores_of<'s>(
        &self,
        sweep: usize,
        scores: &'s [RunScores],
        units: &'s BTreeMap<String, Unit>,
    ) -> InterventionScores<'s> {
        let points = self.sweeps[sweep].points();
        InterventionScores { scores: points.map(|point| &scores[self.index_of(point)].all).collect(), units }
    }

    /// Adds curves, matrices and interventions, from the scores of each distinct one. `is_clean` says of a metric whether it
    /// is a value of the unchanged model.
    ///
    /// # Errors
    /// When a metric has no value in any of them, or a name is taken.
    pub(crate) fn collect(
        &self,
        scores: &[RunScores],
        units: &BTreeMap<String, Unit>,
        is_clean: impl Fn(&str) -> bool,
        findings: &mut Findings,
    ) -> Result<()> {
        let is_measured = |metric: &str| scores.iter().any(|scores| scores.all.summary(metric).is_ok());
        if let Some(name) = units.keys().find(|metric| !is_measured(metric)) {
            return Err(ProbeError::MetricWithoutValues { name: name.clone() }.into());
        }
        for (metric, measured) in scores[0].all.iter().filter(|(metric, _)| is_clean(metric)) {
            findings.add_value(&format!("clean_{metric}"), findings.estimate(measured))?;
        }
        grouped::add_clean(&scores[0], units, &is_clean, findings)?;
        for sweep in self.sweeps.iter().filter(|sweep| !sweep.axes.is_empty()) {
            for (metric, unit) in units {
                self.add_sweep(sweep, metric, (scores, unit), findings)?;
            }
            if let [axis] = &sweep.axes[..] {
                let points: Vec<_> = sweep.points().map(|point| &scores[self.index_of(point)]).collect();
                grouped::add_sweep(&sweep.name, axis, (&points, units), findings)?;
            }
        }
        differences::add(|metric| scores[0].all.get(metric).filter(|_| is_clean(metric)), findings)?;
        for run in self.iter() {
            findings.add_intervention(record(&run, &scores[run.index], findings));
        }
        self.sweeps.iter().for_each(|sweep| sweep.mark(findings));
        Ok(())
    }

    fn add_sweep(
        &self,
        sweep: &NamedSweep,
        metric: &str,
        (scores, unit): (&[RunScores], &Unit),
        findings: &mut Findings,
    ) -> Result<()> {
        let measured = sweep.points().filter_map(|point| scores[self.index_of(point)].all.get(metric));
        let measured: Vec<_> = measured.collect();
        let name = format!("{}_{metric}", sweep.name);
        match &sweep.axes[..] {
            [axis] => {
                if axis.is_of_all_blocks() {
                    findings
                        .add_matrix(&name, matrix_of_blocks(axis, unit, |index| findings.estimate(measured[index])))?;
                }
                findings.add_curve(&name, measured_curve(axis.clone(), unit.clone(), measured))
            }
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

/// What was measured on all blocks of layers, over their lengths and their first layers; NaN where a block would end after the
/// last layer.
fn matrix_of_blocks(axis: &Axis, unit: &Unit, estimate: impl Fn(usize) -> Estimate) -> Matrix {
    let blocks: Vec<_> = (0..axis.len()).filter_map(|index| axis.block(index)).collect();
    let longest = blocks.iter().map(Range::len).max().unwrap_or(0);
    let n_layers = blocks.iter().map(|block| block.end).max().unwrap_or(0);
    let places = (1..=longest).flat_map(|length| (0..n_layers).map(move |start| start..start + length));
    let cells = places.map(|place| {
        let index = blocks.iter().position(|block| *block == place);
        index.map_or(Estimate::exact(f64::NAN), &estimate)
    });
    let lengths = Axis::labelled("layers of the block", (1..=longest).map(|length| length.to_string()));
    Matrix::from_estimates(lengths, Axis::layers(n_layers), unit.clone(), cells)
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
