//! Answers that a model wrote, put together as curves: [`GenerativeCurves`].

use serde::{Deserialize, Serialize};
use stratigraph_tasks::{GenerativeScores, GenerativeTask, WrittenAnswer};

use super::task_curves::{SweepAxes, estimate};
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
    /// When there is something of one of the names.
    pub(crate) fn add(&self, findings: &mut Findings) -> Result<()> {
        let scores = self.scores(&findings.written);
        let Some((clean, mut rest)) = scores.split_first() else { return Ok(()) };
        for score in clean.named() {
            findings.add_value(&format!("clean_{}_{}", self.task, score.name), estimate(score.score))?;
        }
        for sweep in &self.sweeps {
            let (own, others) = rest.split_at(sweep.n_points);
            rest = others;
            let of_point = |scores: &GenerativeScores| {
                let scores = scores.named().into_iter().chain(scores.changes_from(clean));
                scores.map(|it| (it.name, estimate(it.score))).collect::<Vec<_>>()
            };
            let points: Vec<_> = own.iter().map(of_point).collect();
            for (index, (score, _)) in points.first().into_iter().flatten().enumerate() {
                let cells = points.iter().map(|point| point[index].1).collect();
                sweep.add((self.name(), score), (cells, self.n_items), findings)?;
            }
        }
        Ok(())
    }

    /// The scores of the unchanged model and under each intervention.
    fn scores(&self, answers: &[WrittenAnswers]) -> Vec<GenerativeScores> {
        let mut own: Vec<_> = answers.iter().filter(|it| it.task == self.task).collect();
        own.sort_by_key(|it| it.first);
        let n_interventions = 1 + self.sweeps.iter().map(|sweep| sweep.n_points).sum::<usize>();
        let of_all = |index: usize| -> Vec<WrittenAnswer> {
            own.iter().flat_map(|it| it.answers.get(index).into_iter().flatten().cloned()).collect()
        };
        let all: Vec<_> = (0..n_interventions).map(of_all).collect();
        assert!(all.iter().all(|items| items.len() == self.n_items), "every item is answered under every intervention");
        all.into_iter().map(|items| GenerativeScores::from_items(self.task, items)).collect()
    }
}
