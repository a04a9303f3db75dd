//! The answers to the items of a benchmark as the objective of a search: [`TaskObjective`], by a [`TaskMeasure`].

use std::fmt;
use std::str::FromStr;

use stratigraph_core::ResidualModel;
use stratigraph_profile::statistics::ErrorUnit;
use stratigraph_surgery::search::{Goal, Objective, SearchWindows};
use stratigraph_surgery::{Budget, Intervention, SurgeryError};
use stratigraph_tasks::{EncodedItems, ItemScore};

use crate::study::check_replica;
use crate::workers::{WorkerEvent, run_workers};
use crate::{Result, StudyError, TaskRun};

/// The number that a search takes of each item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskMeasure {
    /// 1 where the item is answered correctly, 0 otherwise; the mean is the accuracy.
    Acc,
    /// The same with log-probabilities divided by the characters of each continuation.
    AccNorm,
    /// The log-probability of the right continuation, in nats. It differs between plans that answer the same items correctly, so
    /// fewer items suffice to tell them apart.
    LogProb,
}

impl TaskMeasure {
    /// All of them.
    pub const ALL: [TaskMeasure; 3] = [TaskMeasure::Acc, TaskMeasure::AccNorm, TaskMeasure::LogProb];

    /// Its name: `acc`, `acc_norm` or `log_prob`.
    pub fn name(self) -> &'static str {
        match self {
            TaskMeasure::Acc => "acc",
            TaskMeasure::AccNorm => "acc_norm",
            TaskMeasure::LogProb => "log_prob",
        }
    }

    fn of(self, item: &ItemScore) -> f64 {
        let number = |yes: bool| f64::from(u8::from(yes));
        match self {
            TaskMeasure::Acc => number(item.correct),
            TaskMeasure::AccNorm => number(item.correct_norm.unwrap_or_default()),
            TaskMeasure::LogProb => item.log_prob,
        }
    }
}

impl fmt::Display for TaskMeasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TaskMeasure {
    type Err = StudyError;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|measure| measure.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(TaskMeasure::name).join(", ");
            SurgeryError::BadSearch { reason: format!("unknown score of a benchmark `{name}`; known: {known}") }.into()
        })
    }
}

/// How each item of a benchmark is answered. Plans are compared item by item.
///
/// ```no_run
/// use stratigraph_core::ResidualModel;
/// use stratigraph_study::search::{TaskMeasure, TaskObjective};
/// use stratigraph_surgery::Intervention;
/// use stratigraph_surgery::search::{Operator, Search, SearchOptions};
/// use stratigraph_tasks::EncodedItems;
///
/// fn prune(model: &dyn ResidualModel, items: &EncodedItems) -> stratigraph_study::Result<()> {
///     let mut answers = TaskObjective::new(model, items, TaskMeasure::LogProb)?;
///     let search = Search::new(SearchOptions::removing(2, Operator::Delete))?;
///     let found = search.run(&Intervention::none(model.n_layers()), &mut answers)?;
///     println!("{} costs {:?} nats an item", found.state.best(), found.validated.comparisons[0].interval);
///     Ok(())
/// }
/// ```
pub struct TaskObjective<'a> {
    models: Vec<&'a dyn ResidualModel>,
    items: &'a EncodedItems,
    measure: TaskMeasure,
    budget: Budget,
    on_evaluated: Box<dyn FnMut(usize) + 'a>,
}

/// The most items that a device takes at once.
const ITEMS: usize = 256;

impl<'a> TaskObjective<'a> {
    /// The items of a benchmark, by one of their scores.
    ///
    /// # Errors
    /// When the benchmark does not have the score, there are too few items to hold some out, or an item does not fit the model.
    pub fn new(model: &'a dyn ResidualModel, items: &'a EncodedItems, measure: TaskMeasure) -> Result<Self> {
        let task = items.task();
        if measure == TaskMeasure::AccNorm && !task.has_acc_norm() {
            let reason = format!("{task} has no acc_norm; give acc or log_prob");
            return Err(SurgeryError::BadSearch { reason }.into());
        }
        TaskRun::new(model).work(items)?;
        let objective =
            Self { models: vec![model], items, measure, budget: Budget::default(), on_evaluated: Box::new(|_| ()) };
        SearchWindows::of(&objective, 0)?;
        Ok(objective)
    }

    /// With the same model on another device; items are divided among all.
    ///
    /// # Errors
    /// When it is another model.
    pub fn also_on(mut self, replica: &'a dyn ResidualModel) -> Result<Self> {
        check_replica(self.models[0], replica)?;
        self.models.push(replica);
        Ok(self)
    }

    /// With another memory budget, for each device.
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// With a function that is called with the number of items evaluated since its last call, over all candidates.
    pub fn on_evaluated(mut self, on_evaluated: impl FnMut(usize) + 'a) -> Self {
        self.on_evaluated = Box::new(on_evaluated);
        self
    }

    /// The items.
    pub fn items(&self) -> &'a EncodedItems {
        self.items
    }

    /// The model.
    pub fn model(&self) -> &'a dyn ResidualModel {
        self.models[0]
    }

    /// The benchmark and the score, such as `arc_easy_log_prob`.
    pub fn name(&self) -> String {
        format!("{}_{}", self.items.task(), self.measure)
    }
}

impl Objective for TaskObjective<'_> {
    type Error = StudyError;

    fn goal(&self) -> Goal {
        Goal::Highest
    }

    fn unit(&self) -> ErrorUnit {
        ErrorUnit::Items
    }

    fn n_windows(&self) -> usize {
        self.items.items().len()
    }

    fn check(&self, plan: &Intervention) -> Result<()> {
        TaskRun::only(self.models[0], vec![plan.clone()]).check_on(self.items)
    }

    fn score(&mut self, interventions: &[Intervention], items: &[usize]) -> Result<Vec<Vec<f64>>> {
        let Self { models, items: all, measure, budget, on_evaluated } = self;
        let at_once = items.len().div_ceil(4 * models.len() - 3).clamp(1, ITEMS); // one device takes all
        let answered = |model: usize, part: &[usize]| -> Result<Vec<Vec<f64>>> {
            let run = TaskRun::only(models[model], interventions.to_vec()).with_budget(*budget);
            let results = run.run_some(&all.select(part.iter().copied())).map_err(|error| of_all(error, part))?;
            Ok(results.iter().map(|it| it.scores.items.iter().map(|item| measure.of(item)).collect()).collect())
        };
        let work = |model: usize, parts: &mut dyn Iterator<Item = _>, tell: &mut dyn FnMut(WorkerEvent<_>)| {
            for (start, part) in parts {
                tell(WorkerEvent::Done((start, answered(model, part)?)));
            }
            Ok(())
        };
        let mut scores = vec![vec![f64::NAN; items.len()]; interventions.len()];
        let take = |event: WorkerEvent<(usize, Vec<Vec<f64>>)>| {
            if let WorkerEvent::Done((start, found)) = event {
                for (all, found) in scores.iter_mut().zip(&found) {
                    all[start..start + found.len()].copy_from_slice(found);
                }
                on_evaluated(found.iter().map(Vec::len).sum());
            }
            Ok(())
        };
        let parts = items.chunks(at_once).enumerate().map(|(nth, part)| (nth * at_once, part));
        run_workers(models.len(), parts, work, take)?;
        Ok(scores)
    }
}

/// An error that names an item by its index among all items, not among `part`.
fn of_all(error: StudyError, part: &[usize]) -> StudyError {
    match error {
        StudyError::ItemNotFinite { item, continuation, intervention, log_prob } => {
            StudyError::ItemNotFinite { item: part[item], continuation, intervention, log_prob }
        }
        other => other,
    }
}
