//! Answers of a benchmark's items, put together as curves: [`TaskCurves`].

use serde::{Deserialize, Serialize};
use stratigraph_core::Summary;
use stratigraph_profile::statistics::{ErrorBasis, ErrorUnit};
use stratigraph_profile::{Axis, Curve, Estimate, Matrix, Unit, catalogue};
use stratigraph_surgery::SweepPoints;
use stratigraph_tasks::{EncodedItems, ItemScore, Task, TaskScores};

use crate::{Findings, Result, StudyError};

/// How some items of a benchmark were answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskAnswers {
    pub(crate) task: Task,
    /// The index of the first of them.
    pub(crate) first: usize,
    /// By the unchanged model and under each intervention.
    pub(crate) answers: Vec<Vec<ItemScore>>,
}

/// The axes of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SweepAxes {
    sweep: String,
    axes: Vec<Axis>,
    pub(super) n_points: usize,
}

impl SweepAxes {
    pub(super) fn new(sweep: &str, points: &SweepPoints) -> Self {
        Self { sweep: sweep.to_owned(), axes: points.axes.clone(), n_points: points.interventions.len() }
    }

    /// Adds a score of a benchmark of `n_items` items at each point of the sweep.
    pub(super) fn add(
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

/// Curves, matrices and values of the scores of a benchmark, made when all of its items are answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskCurves {
    task: Task,
    n_items: usize,
    /// In the order of the answers.
    sweeps: Vec<SweepAxes>,
}

impl TaskCurves {
    pub(super) fn new(items: &EncodedItems, sweeps: impl Iterator<Item = SweepAxes>) -> Self {
        Self { task: items.task(), n_items: items.items().len(), sweeps: sweeps.collect() }
    }

    /// The name of the benchmark.
    pub(crate) fn name(&self) -> &str {
        self.task.name()
    }

    /// Adds everything.
    ///
    /// # Errors
    /// When there is something of one of the names.
    pub(crate) fn add(&self, findings: &mut Findings) -> Result<()> {
        let scores = self.scores(&findings.answers);
        let Some((clean, mut rest)) = scores.split_first() else { return Ok(()) };
        for score in clean.named() {
            findings.add_value(&format!("clean_{}_{}", self.task, score.name), estimate(score.score))?;
        }
        for sweep in &self.sweeps {
            let (own, others) = rest.split_at(sweep.n_points);
            rest = others;
            for (index, score) in clean.named().iter().enumerate() {
                let cells = own.iter().map(|scores| estimate(scores.named()[index].score)).collect();
                sweep.add((self.name(), score.name), (cells, self.n_items), findings)?;
            }
            let changes = own.iter().map(|scores| estimate(scores.change_from(clean))).collect();
            sweep.add((self.name(), "acc_change"), (changes, self.n_items), findings)?;
        }
        Ok(())
    }

    /// The scores of the unchanged model and under each intervention.
    fn scores(&self, answers: &[TaskAnswers]) -> Vec<TaskScores> {
        let mut own: Vec<_> = answers.iter().filter(|it| it.task == self.task).collect();
        own.sort_by_key(|it| it.first);
        let n_interventions = 1 + self.sweeps.iter().map(|sweep| sweep.n_points).sum::<usize>();
        let of_all = |index: usize| -> Vec<ItemScore> {
            own.iter().flat_map(|it| it.answers.get(index).into_iter().flatten().copied()).collect()
        };
        let all: Vec<_> = (0..n_interventions).map(of_all).collect();
        assert!(all.iter().all(|items| items.len() == self.n_items), "every item is answered under every intervention");
        all.into_iter().map(|items| TaskScores::from_items(self.task, items)).collect()
    }
}

/// A perplexity that is beyond f64 is no number.
pub(super) fn estimate(Summary { mean, sem }: Summary) -> Estimate {
    match mean.is_finite() {
        true => Estimate::new(mean, sem.filter(|sem| sem.is_finite())),
        false => Estimate::exact(f64::NAN),
    }
}
