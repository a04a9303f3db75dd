//! The steps of a shard, run on devices: [`Steps`].

use std::ops::Range;

use stratigraph_core::ResidualModel;
use stratigraph_corpus::TextDecoder;
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::scores::{PositionScores, Row, ScoreSink};
use stratigraph_surgery::Budget;

use super::means::takes_means;
use super::measured::{OnceFindings, StepResult};
use super::run::NamedDevice;
use super::steps::StepWork;
use super::{Job, Shard};
use crate::run_scores::RunScores;
use crate::scoring::{ReadoutOptions, Scorer, Scoring};
use crate::workers::WorkerEvent;
use crate::{Result, StudyContext};

/// The steps of a job, with a scoring for each group of interventions.
pub(super) struct Steps<'a> {
    job: &'a Job,
    metrics: Metrics,
    budget: Budget,
    text: Option<&'a (dyn TextDecoder + Sync)>,
    scorings: Vec<Scoring<'a>>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(job: &'a Job, budget: Budget, text: Option<&'a (dyn TextDecoder + Sync)>) -> Result<Self> {
        let metrics = job.plan().metrics()?;
        let options = ReadoutOptions::new(metrics.clone(), budget);
        let clean = &job.interventions()[0];
        let scoring = |group: &[_]| Scoring::new(group.to_vec(), clean, job.windows(), options.clone());
        Ok(Self { job, metrics, budget, text, scorings: job.groups().map(scoring).collect() })
    }

    /// What parts of measurements run on.
    fn context<'c>(&'c self, model: &'c dyn ResidualModel) -> StudyContext<'c> {
        let context = StudyContext::new(model, self.job.windows(), self.job.plan().seed);
        context.with_budget(self.budget).with_metrics(&self.metrics).with_text(self.text)
    }

    /// Gets the means over the corpus that some of these steps take, measured on `model` where no process has yet.
    pub(super) fn take_means(&mut self, left: &[usize], model: &dyn ResidualModel) -> Result<()> {
        let takes = |step: &usize| match self.job.step(*step) {
            StepWork::Scores { group, .. } => self.job.group(group).iter().any(takes_means),
            _ => false,
        };
        if left.iter().any(takes) {
            let budget = ReadoutOptions::new(self.metrics.clone(), self.budget).executor_budget();
            let means = self.job.means(model, budget)?;
            let scorings = std::mem::take(&mut self.scorings);
            self.scorings = scorings.into_iter().map(|scoring| scoring.with_means(means.clone())).collect();
        }
        Ok(())
    }

    /// Reads the lenses of the job, with their numbers on the device of `model`, where scores are left to measure.
    pub(super) fn take_lenses(&mut self, left: &[usize], model: &dyn ResidualModel) -> Result<()> {
        if !left.iter().any(|step| matches!(self.job.step(*step), StepWork::Scores { .. })) {
            return Ok(());
        }
        let readings = self.job.loaded_readings(model)?;
        let mut readings = readings.into_iter();
        let scorings = std::mem::take(&mut self.scorings).into_iter().zip(self.job.groups());
        let with_readings = |(scoring, group): (Scoring<'a>, &[_])| {
            scoring.with_readings(readings.by_ref().take(group.len()).collect())
        };
        self.scorings = scorings.map(with_readings).collect();
        Ok(())
    }

    /// The steps of a shard that are not done yet.
    pub(super) fn left(&self, shard: Shard) -> Result<Vec<usize>> {
        let mut left = Vec::new();
        for step in shard.part_of(self.job.n_steps()) {
            if !self.job.is_done(step)? {
                left.push(step);
            }
        }
        Ok(left)
    }

    /// About how many multiplications a step takes.
    pub(super) fn work(&self, step: usize, model: &dyn ResidualModel) -> Result<u64> {
        let units = |part: usize| self.job.part(part).units(&self.context(model), self.job.runs());
        match self.job.step(step) {
            StepWork::Scores { windows, group } => Ok(self.scorings[group].work(model) * windows.len() as u64),
            StepWork::Windows { windows, part } => Ok(units(part)? * windows.len() as u64),
            StepWork::Once { part } => units(part),
        }
    }

    /// Runs steps on a device, except those that another process has done in the meantime.
    pub(super) fn run_on(
        &self,
        NamedDevice { name, model }: &NamedDevice,
        left: &mut dyn Iterator<Item = usize>,
        report: &mut dyn FnMut(WorkerEvent<Done>),
    ) -> Result<()> {
        // One group of interventions at a time: each scorer may take the whole budget.
        let mut kept: Option<(usize, Scorer)> = None;
        for step in left {
            if self.job.is_done(step)? {
                continue;
            }
            let progress = &mut |work| report(WorkerEvent::Progress(work));
            let mut positions = Vec::new();
            let result = match self.job.step(step) {
                StepWork::Scores { windows, group } => {
                    let same = kept.take().filter(|(of, _)| *of == group);
                    let (_, scorer) = kept.insert(match same {
                        Some(same) => same,
                        None => (group, self.scorings[group].on(*model, self.longest())?),
                    });
                    let measured = self.score(scorer, windows, progress)?;
                    let measured = measured.into_iter().take(self.job.group(group).len()); // the unchanged model may follow
                    let (scores, of_tokens): (_, Vec<_>) = measured.map(|it| (it.scores, it.positions)).unzip();
                    positions.extend(of_tokens.into_iter().flatten());
                    StepResult::Scores(scores)
                }
                StepWork::Windows { windows, part } => StepResult::Windows(self.job.part(part).measure_windows(
                    &self.context(*model),
                    windows,
                    progress,
                )?),
                StepWork::Once { part } => {
                    let mut findings = self.job.no_findings();
                    let to = (self.job.runs(), &mut findings);
                    self.job.part(part).measure(&self.context(*model), to, progress)?;
                    StepResult::Once(OnceFindings::of(&findings))
                }
            };
            report(WorkerEvent::Done(Done { device: name.clone(), step, result, positions }));
        }
        Ok(())
    }

    /// Windows of the longest step.
    fn longest(&self) -> usize {
        self.job.plan().step.windows.min(self.job.windows().n_sequences())
    }

    /// Scores the interventions of a group on some windows.
    fn score(
        &self,
        scorer: &mut Scorer,
        windows: Range<usize>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<Measured>> {
        let positions = self.job.plan().per_token.then(PositionScores::default);
        let empty = || Measured { scores: RunScores::new(self.job.token_groups()), positions: positions.clone() };
        scorer.score(windows, empty, progress)
    }

    /// Writes the results of a step, its tokens first, so that a step with a record has its tokens too.
    pub(super) fn write(&self, Done { device, step, result, positions }: Done) -> Result<()> {
        #[cfg(feature = "parquet")]
        if let StepWork::Scores { group, .. } = self.job.step(step)
            && self.job.plan().per_token
        {
            let positions: Vec<_> = positions.iter().collect();
            self.job.write_tokens(step, &super::parquet::token_table(self.job, group, &positions))?;
        }
        #[cfg(not(feature = "parquet"))]
        drop(positions); // a plan that keeps them is refused
        self.job.write_step(step, &device, result)
    }
}

/// A step that a device has done.
pub(super) struct Done {
    device: String,
    step: usize,
    result: StepResult,
    /// The values of every token under each intervention, where they are kept.
    positions: Vec<PositionScores>,
}

/// What a step measures under an intervention.
struct Measured {
    scores: RunScores,
    /// The values of every token, where they are kept.
    positions: Option<PositionScores>,
}

impl ScoreSink for Measured {
    fn begin(&mut self, metrics: &Metrics) -> stratigraph_probes::Result<()> {
        self.scores.begin(metrics)?;
        self.positions.iter_mut().try_for_each(|positions| positions.begin(metrics))
    }

    fn row(&mut self, sequence: usize, position: usize, row: &Row) {
        self.scores.row(sequence, position, row);
        self.positions.iter_mut().for_each(|positions| positions.row(sequence, position, row));
    }
}
