//! Answers of a benchmark's items, put together as curves: [`TaskCurves`].

use serde::{Deserialize, Serialize};
use stratigraph_tasks::{EncodedItems, ItemScore, NamedScore, Task, TaskScores};

use super::swept_scores::{SweepAxes, SweptScores};
use crate::{Findings, Result};

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
    /// When an item is not answered under an intervention, or there is something of one of the names.
    pub(crate) fn add(&self, findings: &mut Findings) -> Result<()> {
        let swept = SweptScores { task: self.name(), n_items: self.n_items, sweeps: &self.sweeps };
        let own = findings.answers.iter().filter(|it| it.task == self.task);
        let answers = swept.by_intervention(own.map(|it| (it.first, &it.answers[..])).collect())?;
        let scores: Vec<_> = answers.into_iter().map(|items| TaskScores::from_items(self.task, items)).collect();
        let change = |scores: &TaskScores, clean: &TaskScores| {
            vec![NamedScore { name: "acc_change", score: scores.change_from(clean) }]
        };
        swept.add(&scores, TaskScores::named, change, findings)
    }
}
