//! Benchmarks under sweeps, as curves of a study: [`TaskScoring`].

use std::ops::Range;

use serde::{Deserialize, Serialize};
use stratigraph_surgery::{Intervention, Sweep};
use stratigraph_tasks::{EncodedItems, TaskError};

use super::swept_scores::SweepAxes;
use super::task_curves::{TaskAnswers, TaskCurves};
use super::task_sweeps;
use crate::job::JobPart;
use crate::{Derived, Findings, Measurement, OwnWork, Result, StudyContext, StudyError, TaskRun, Work};

/// Items that run together, and that are a step of a job.
const ITEMS: usize = 256;

/// The scores of a benchmark at each point of some sweeps, and of the unchanged model.
///
/// Curves are named after the sweep, the task and the score, such as `delete_arc_easy_acc`, and so are matrices of sweeps over
/// two axes. `delete_arc_easy_acc_change` is the accuracy minus that of the unchanged model, with the standard error of the
/// items' differences. `clean_arc_easy_acc` is the unchanged model's. They do not depend on the corpus of the study.
#[derive(Debug, Clone)]
pub struct TaskScoring {
    items: EncodedItems,
    sweeps: Vec<Sweep>,
    items_at_once: usize,
}

impl TaskScoring {
    /// The items of a benchmark under each of some sweeps.
    pub fn new(items: EncodedItems, sweeps: impl IntoIterator<Item = Sweep>) -> Self {
        Self { items, sweeps: sweeps.into_iter().collect(), items_at_once: ITEMS }
    }

    /// With this many items in a step of a job, at least one; 256 by default.
    pub fn with_items_at_once(self, items_at_once: usize) -> Self {
        Self { items_at_once: items_at_once.max(1), ..self }
    }

    /// The ranges of items that run together.
    fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let (n, size) = (self.items.items().len(), self.items_at_once);
        (0..n).step_by(size).map(move |start| start..n.min(start + size))
    }
}

impl Measurement for TaskScoring {
    fn name(&self) -> String {
        self.items.task().name().to_owned()
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let longest = TaskRun::new(context.model).longest(&self.items)?;
        let (points, interventions) = task_sweeps::points(&self.sweeps, context, longest)?;
        TaskRun::new(context.model).interventions(interventions.iter().cloned()).check_on(&self.items)?;
        let names = task_sweeps::names(&self.sweeps, &points, context, longest);
        let mut work = Vec::new();
        for range in self.ranges() {
            let (first, items) = (range.start, self.items.select(range));
            let part = names.clone().map(|sweeps| TaskPart { sweeps, first, items: items.clone() });
            let chunk = Chunk { first, items, interventions: interventions.clone() };
            let context = *context;
            let (work_of_chunk, part) = (chunk.work(&context)?, part.map(JobPart::Task));
            let run = move |findings: &mut Findings, progress: &mut dyn FnMut(u64)| {
                chunk.measure(&context, findings, progress)
            };
            work.push(Work::Own(OwnWork { work: work_of_chunk, run: Box::new(run), part }));
        }
        let axes = self.sweeps.iter().zip(points).map(|(sweep, points)| SweepAxes::new(sweep.name(), &points));
        work.push(Work::Derived(Derived::Task(TaskCurves::new(&self.items, axes))));
        Ok(work)
    }
}

/// Some items under interventions.
struct Chunk {
    /// The index of the first item.
    first: usize,
    items: EncodedItems,
    interventions: Vec<Intervention>,
}

impl Chunk {
    fn run<'a>(&self, context: &StudyContext<'a>) -> TaskRun<'a> {
        TaskRun::new(context.model).interventions(self.interventions.iter().cloned()).with_budget(context.budget)
    }

    fn work(&self, context: &StudyContext) -> Result<u64> {
        self.run(context).work(&self.items).map_err(|error| self.with_index_of_all(error))
    }

    /// An error that names an item by its index among all items, not among these.
    fn with_index_of_all(&self, error: StudyError) -> StudyError {
        match error {
            StudyError::Task(TaskError::BadContinuation { item, continuation, problem }) => {
                TaskError::BadContinuation { item: self.first + item, continuation, problem }.into()
            }
            StudyError::ItemNotFinite { item, continuation, intervention, log_prob } => {
                StudyError::ItemNotFinite { item: self.first + item, continuation, intervention, log_prob }
            }
            other => other,
        }
    }

    fn measure(&self, context: &StudyContext, findings: &mut Findings, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let mut done = 0;
        let run = self.run(context).on_progress(|now| {
            progress(now.done - done);
            done = now.done;
        });
        let results = run.run_some(&self.items).map_err(|error| self.with_index_of_all(error))?;
        let answers = results.into_iter().map(|result| result.scores.items).collect();
        findings.answers.push(TaskAnswers { task: self.items.task(), first: self.first, answers });
        Ok(())
    }
}

/// Some items of a [`TaskScoring`] under sweeps with names, as plain data for another process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskPart {
    sweeps: Vec<String>,
    first: usize,
    items: EncodedItems,
}

impl TaskPart {
    /// What a reader calls it.
    pub(crate) fn name(&self) -> &str {
        self.items.task().name()
    }

    /// Refuses sweeps that are not known.
    pub(crate) fn check(&self) -> Result<()> {
        task_sweeps::by_names(&self.sweeps).map(drop)
    }

    fn chunk(&self, context: &StudyContext) -> Result<Chunk> {
        let sweeps = task_sweeps::by_names(&self.sweeps)?;
        let longest = TaskRun::new(context.model).longest(&self.items)?;
        let (_, interventions) = task_sweeps::points(&sweeps, context, longest)?;
        Ok(Chunk { first: self.first, items: self.items.clone(), interventions })
    }

    /// About how many multiplications it takes.
    pub(crate) fn work(&self, context: &StudyContext) -> Result<u64> {
        self.chunk(context)?.work(context)
    }

    /// Adds how the items are answered.
    pub(crate) fn measure(
        &self,
        context: &StudyContext,
        findings: &mut Findings,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        self.chunk(context)?.measure(context, findings, progress)
    }
}
