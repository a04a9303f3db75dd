//! The mean of a metric on each window as the objective of a search: [`ModelObjective`].

use std::sync::Arc;

use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_probes::metrics::{Metric, Metrics};
use stratigraph_surgery::search::{Goal, Objective};
use stratigraph_surgery::{Budget, Intervention, SurgeryError};

use super::clean::CleanStreams;
use crate::scoring::{ReadoutOptions, Scoring};
use crate::study::{check_replica, score_all};
use crate::task_run::corpus_dependence;
use crate::{Result, StudyError};

/// The mean of a metric over the positions of each window: the loss, the KL divergence from the unchanged model, or any other.
///
/// ```no_run
/// use stratigraph_core::{ResidualModel, TokenWindows};
/// use stratigraph_study::search::ModelObjective;
/// use stratigraph_surgery::Intervention;
/// use stratigraph_surgery::search::{Operator, Search, SearchOptions};
///
/// fn prune(model: &dyn ResidualModel, windows: &TokenWindows) -> stratigraph_study::Result<()> {
///     let mut loss = ModelObjective::new(model, windows, "nll")?;
///     let search = Search::new(SearchOptions::removing(4, Operator::Delete))?;
///     let found = search.run(&Intervention::none(model.n_layers()), &mut loss)?;
///     println!("{} costs {:?} nats", found.state.best(), found.validated.comparisons[0].interval);
///     Ok(())
/// }
/// ```
pub struct ModelObjective<'a> {
    models: Vec<&'a dyn ResidualModel>,
    windows: &'a TokenWindows,
    options: ReadoutOptions<'a>,
    goal: Goal,
    clean: CleanStreams,
    on_evaluated: Box<dyn FnMut(usize) + 'a>,
}

impl<'a> ModelObjective<'a> {
    /// A built-in metric by its name, such as `nll` or `kl`. Fractions, such as `accuracy`, are maximised, all
    /// other metrics minimised.
    ///
    /// # Errors
    /// When there is no such metric, or the windows do not fit the model.
    pub fn new(model: &'a dyn ResidualModel, windows: &'a TokenWindows, metric: &str) -> Result<Self> {
        let metrics = Metrics::from_names([metric])?;
        let is_fraction = metrics.iter().any(|metric| metric.unit() == "fraction");
        Self::with(model, windows, metrics, if is_fraction { Goal::Highest } else { Goal::Lowest })
    }

    /// A metric of your own.
    ///
    /// # Errors
    /// When the windows do not fit the model.
    pub fn of_metric(
        model: &'a dyn ResidualModel,
        windows: &'a TokenWindows,
        metric: Arc<dyn Metric>,
        goal: Goal,
    ) -> Result<Self> {
        Self::with(model, windows, Metrics::new().with_shared(metric)?, goal)
    }

    fn with(model: &'a dyn ResidualModel, windows: &'a TokenWindows, metrics: Metrics, goal: Goal) -> Result<Self> {
        windows.check(model)?;
        let options = ReadoutOptions::new(metrics, Budget::default());
        let clean = CleanStreams::default();
        Ok(Self { models: vec![model], windows, options, goal, clean, on_evaluated: Box::new(|_| ()) })
    }

    /// With the same model on another device; windows are divided among all.
    ///
    /// # Errors
    /// When it is another model.
    pub fn also_on(mut self, replica: &'a dyn ResidualModel) -> Result<Self> {
        check_replica(self.models[0], replica)?;
        self.models.push(replica);
        Ok(self)
    }

    /// With another memory budget, for each device.
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.options.budget = budget;
        self
    }

    /// With a function that is called with the number of windows evaluated since its last call, over all candidates.
    pub fn on_evaluated(mut self, on_evaluated: impl FnMut(usize) + 'a) -> Self {
        self.on_evaluated = Box::new(on_evaluated);
        self
    }

    /// The metric.
    pub fn metric(&self) -> &dyn Metric {
        self.options.metrics.iter().next().expect("it has one")
    }

    /// The windows.
    pub fn windows(&self) -> &'a TokenWindows {
        self.windows
    }

    /// The model.
    pub fn model(&self) -> &'a dyn ResidualModel {
        self.models[0]
    }
}

impl<'a> ModelObjective<'a> {
    /// The intervention with which a metric compares some plans, and how they are read out. It is one of the plans where the metric
    /// compares nothing, or what the unchanged model gives is kept.
    fn compared_with(
        &mut self,
        plans: &[Intervention],
        windows: &[usize],
    ) -> Result<(Intervention, ReadoutOptions<'a>)> {
        let (model, mut options) = (self.models[0], self.options.clone());
        if !self.metric().is_comparison() {
            return Ok((plans[0].clone(), options));
        }
        let clean = Intervention::none(model.n_layers());
        let Some(budget) = CleanStreams::budget_beside(model, self.windows, options.budget) else {
            return Ok((clean, options));
        };
        options.budget = budget;
        if !CleanStreams::are_worth_it(&clean, plans) {
            return Ok((clean, options));
        }
        options.clean = Some(self.clean.of(model, self.windows, windows)?);
        Ok((plans[0].clone(), options))
    }
}

impl Objective for ModelObjective<'_> {
    type Error = StudyError;

    fn goal(&self) -> Goal {
        self.goal
    }

    fn n_windows(&self) -> usize {
        self.windows.n_sequences()
    }

    fn documents(&self) -> Option<&[usize]> {
        self.windows.documents()
    }

    fn check(&self, plan: &Intervention) -> Result<()> {
        plan.check(&self.models[0].shape(), self.windows.seq_len())?;
        match plan.edits().iter().find(|edit| corpus_dependence(edit).is_some()) {
            Some(edit) => {
                let reason =
                    format!("the edit `{edit}` depends on the whole corpus, and a search scores windows apart");
                Err(SurgeryError::BadSearch { reason }.into())
            }
            None => Ok(()),
        }
    }

    fn score(&mut self, interventions: &[Intervention], windows: &[usize]) -> Result<Vec<Vec<f64>>> {
        let chosen = self.windows.select(windows.iter().copied());
        let (clean, options) = self.compared_with(interventions, windows)?;
        let scoring = Scoring::new(interventions.to_vec(), &clean, &chosen, options);
        let scores = score_all(&scoring, &self.models, (&chosen, &[]), &mut |_| ())?;
        let means = |scores: &crate::run_scores::RunScores| {
            let means = scores.all.get(self.metric().name()).map(|measured| measured.means()).unwrap_or_default();
            let reason = "it has no value in some of the windows".to_owned();
            let missing = StudyError::CannotMeasure { name: self.metric().name().to_owned(), reason };
            if means.len() == windows.len() { Ok(means) } else { Err(missing) }
        };
        let scores = scores[..interventions.len()].iter().map(means).collect::<Result<Vec<_>>>()?;
        (self.on_evaluated)(interventions.len() * windows.len());
        Ok(scores)
    }
}
