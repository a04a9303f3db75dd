//! Scores of a benchmark at the points of sweeps, as curves and matrices: [`SweptScores`].

use serde::{Deserialize, Serialize};
use stratigraph_core::Summary;
use stratigraph_profile::statistics::{ErrorBasis, ErrorUnit};
use stratigraph_profile::{Axis, Curve, Estimate, Matrix, Unit, catalogue};
use stratigraph_surgery::SweepPoints;
use stratigraph_tasks::NamedScore;

use crate::{Findings, Result, StudyError};

/// The axes of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SweepAxes {
    sweep: String,
    axes: Vec<Axis>,
    n_points: usize,
}

impl SweepAxes {
    pub(super) fn new(sweep: &str, points: &SweepPoints) -> Self {
        Self { sweep: sweep.to_owned(), axes: points.axes.clone(), n_points: points.interventions.len() }
    }

    /// Adds a score of a benchmark of `n_items` items at each point of the sweep.
    fn add(
        &self,
        (task, score): (&str, &str),
        (cells, n_items): (Vec<Estimate>, usize),
        findings: &mut Findings,
    ) -> Result<()> {
        let metric = format!("{task}_{score}");
        let unit = catalogue::find_metric(&metric).map_or(Unit::Dimensionless, |entry| entry.unit);
        let name = format!("{}_{metric}", self.sweep);
        match &self.axes[..] {
            [axis] => {
                let (mean, sem) = cells.iter().map(|cell| (cell.mean, cell.sem)).unzip();
                let curve = Curve::new(axis.clone(), unit, mean).with_sem(sem);
                findings.add_curve(&name, curve.with_errors(ErrorBasis::new(ErrorUnit::Items, n_items)))
            }
            [rows, columns] => {
                findings.add_matrix(&name, Matrix::from_estimates(rows.clone(), columns.clone(), unit, cells))
            }
            axes => Err(StudyError::TooManyAxes { sweep: self.sweep.clone(), n_axes: axes.len() }),
        }
    }
}

/// A benchmark of `n_items` items, and the sweeps under which it was answered.
pub(super) struct SweptScores<'a> {
    pub(super) task: &'a str,
    pub(super) n_items: usize,
    /// In the order of the interventions, which follow the unchanged model.
    pub(super) sweeps: &'a [SweepAxes],
}

impl SweptScores<'_> {
    /// The answers to all items by the unchanged model and under each intervention, from those to some items and the index of the
    /// first of these.
    ///
    /// # Errors
    /// When they are not those to each item under each intervention: a job's parts and curves are read from a file.
    pub(super) fn by_intervention<T: Clone>(&self, mut parts: Vec<(usize, &[Vec<T>])>) -> Result<Vec<Vec<T>>> {
        parts.sort_by_key(|(first, _)| *first);
        let n_interventions = self.sweeps.iter().map(|sweep| sweep.n_points).fold(1, usize::saturating_add);
        let n_answered = parts.iter().map(|(_, answers)| answers.len()).max().unwrap_or_default();
        let of_all = |index: usize| -> Vec<T> {
            parts.iter().flat_map(|(_, answers)| answers.get(index).into_iter().flatten().cloned()).collect()
        };
        let all: Vec<_> = (0..n_answered).map(of_all).collect();
        if n_answered == n_interventions && all.iter().all(|items| items.len() == self.n_items) {
            return Ok(all);
        }
        let (task, n_items) = (self.task, self.n_items);
        let reason =
            format!("its parts do not answer the {n_items} items of {task} under {n_interventions} interventions");
        Err(StudyError::BadJobPlan { reason })
    }

    /// Adds the scores of the unchanged model as values; and as curves and matrices of each sweep its scores and their changes
    /// from the unchanged model's.
    ///
    /// # Errors
    /// When there is something of one of the names.
    pub(super) fn add<S>(
        &self,
        scores: &[S],
        named: impl Fn(&S) -> Vec<NamedScore>,
        changes: impl Fn(&S, &S) -> Vec<NamedScore>,
        findings: &mut Findings,
    ) -> Result<()> {
        let Some((clean, mut rest)) = scores.split_first() else { return Ok(()) };
        for score in named(clean) {
            findings.add_value(&format!("clean_{}_{}", self.task, score.name), estimate(score.score))?;
        }
        let of_point = |scores: &S| [named(scores), changes(scores, clean)].concat();
        let names = of_point(clean);
        for sweep in self.sweeps {
            let (own, others) = rest.split_at(sweep.n_points);
            rest = others;
            let points: Vec<_> = own.iter().map(of_point).collect();
            for (index, score) in names.iter().enumerate() {
                let cells = points.iter().map(|point| estimate(point[index].score)).collect();
                sweep.add((self.task, score.name), (cells, self.n_items), findings)?;
            }
        }
        Ok(())
    }
}

/// A perplexity that is beyond f64 is no number.
fn estimate(Summary { mean, sem }: Summary) -> Estimate {
    match mean.is_finite() {
        true => Estimate::new(mean, sem.filter(|sem| sem.is_finite())),
        false => Estimate::exact(f64::NAN),
    }
}
