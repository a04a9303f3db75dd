//! Answers that a model wrote, put together as curves: [`GenerativeCurves`].

use serde::{Deserialize, Serialize};
use stratigraph_tasks::{GenerativeScores, GenerativeTask, WrittenAnswer};

use super::swept_scores::{SweepAxes, SweptScores};
use crate::{Findings, Result};

/// What was written for some items of a benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenAnswers {
    pub(crate) task: GenerativeTask,
    /// The index of the first of them.
    pub(crate) first: usize,
    /// By the unchanged model and under each intervention.
    pub(crate) answers: Vec<Vec<WrittenAnswer>>,
}

/// Curves, matrices and values of the scores of a benchmark that is answered by texts, made when all of its items are answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerativeCurves {
    task: GenerativeTask,
    n_items: usize,
    /// In the order of the answers.
    sweeps: Vec<SweepAxes>,
}

impl GenerativeCurves {
    pub(super) fn new(task: GenerativeTask, n_items: usize, sweeps: impl Iterator<Item = SweepAxes>) -> Self {
        Self { task, n_items, sweeps: sweeps.collect() }
    }

    /// The name of the benchmark.
    pub(crate) fn name(&self) -> &str {
        self.task.name()
    }

    /// Adds everything.
    ///
    /// # Errors
    /// When an item is not answered under an intervention, or there is something of one of the names.
    pub(crate) fn add(&self, findings: &mut Findings) -> Result<()> {
        let swept = SweptScores { task: self.name(), n_items: self.n_items, sweeps: &self.sweeps };
        let own = findings.written.iter().filter(|it| it.task == self.task);
        let answers = swept.by_intervention(own.map(|it| (it.first, &it.answers[..])).collect())?;
        let scores: Vec<_> = answers.into_iter().map(|items| GenerativeScores::from_items(self.task, items)).collect();
        let changes = |scores: &GenerativeScores, clean: &GenerativeScores| scores.changes_from(clean).to_vec();
        swept.add(&scores, |scores| scores.named().to_vec(), changes, findings)
    }
}
