//! A shard of a job, done: [`ShardRun`].

use stratigraph_core::ResidualModel;
use stratigraph_probes::{PositionScores, Row, ScoreSink, Scores};
use stratigraph_surgery::{Budget, LayerPlan};

use super::store::PlanScores;
use super::{Job, Shard};
use crate::scoring::Scoring;
use crate::share::{Heard, share_out};
use crate::{Error, Progress, Result, versions};

/// Does the steps of a shard that are not done yet, one after the other, and writes each.
///
/// ```no_run
/// use stratigraph::job::{Job, ShardRun, hash_checkpoint};
/// # fn run(checkpoint: stratigraph::models::Pretrained) -> stratigraph::Result<()> {
/// let job = Job::open("sweeps/pythia")?;
/// let model = checkpoint.load(&stratigraph::Backend::Flex.device()?)?;
/// ShardRun::new(&job, &model, &hash_checkpoint(&checkpoint)?)?.shard("3/8".parse()?).run()?;
/// # Ok(())
/// # }
/// ```
pub struct ShardRun<'a> {
    job: &'a Job,
    models: Vec<&'a dyn ResidualModel>,
    shard: Shard,
    budget: Budget,
    device: String,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

impl<'a> ShardRun<'a> {
    /// All of a job, with its model, of which `sha256` is what [`hash_checkpoint`](super::hash_checkpoint) gives.
    ///
    /// # Errors
    /// When the job is for another model, or was planned by another version, whose numbers may differ.
    pub fn new(job: &'a Job, model: &'a dyn ResidualModel, sha256: &str) -> Result<Self> {
        let other = |what, found: String, expected: String| Error::OtherJob {
            path: job.path().to_owned(),
            what,
            found,
            expected,
        };
        let planned = &job.plan().model;
        if planned.sha256 != sha256 {
            return Err(other("model", format!("{} ({})", planned.name, planned.sha256), sha256.to_owned()));
        }
        let told = |versions: &std::collections::BTreeMap<String, String>| format!("{versions:?}");
        if job.plan().versions != versions() {
            return Err(other("version", told(&job.plan().versions), told(&versions())));
        }
        let (shard, budget, device) = (Shard::WHOLE, Budget::default(), String::new());
        Ok(Self { job, models: vec![model], shard, budget, device, on_progress: Box::new(|_| {}) })
    }

    /// With the same model on another device: whichever is free takes the next step.
    pub fn also_on(mut self, model: &'a dyn ResidualModel) -> Self {
        self.models.push(model);
        self
    }

    /// With a part of the job only.
    pub fn shard(mut self, shard: Shard) -> Self {
        self.shard = shard;
        self
    }

    /// With another memory budget, for each device.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// With the name of the devices, for the record.
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = device.into();
        self
    }

    /// With a function that hears how far the shard is.
    pub fn on_progress(mut self, hear: impl FnMut(Progress) + 'a) -> Self {
        self.on_progress = Box::new(hear);
        self
    }

    /// Does what is left, and gives how many steps that were.
    ///
    /// # Errors
    /// When the job does not fit the model, the budget is too small, a score is not finite, or a file cannot be written;
    /// steps that were written before stay.
    pub fn run(self) -> Result<usize> {
        let Self { job, models, shard, budget, device, mut on_progress } = self;
        let plan = job.plan();
        #[cfg(not(feature = "parquet"))]
        if plan.per_token {
            return Err(Error::ParquetNotBuilt);
        }
        let (runs, groups) = (plan.runs(), plan.groups());
        let scoring = |group: &_| Scoring::new(Clone::clone(group), runs.clean(), job.windows(), (budget, None));
        let scorings: Vec<_> = groups.iter().map(scoring).collect();
        let todo: Vec<_> = shard.of(plan.n_steps()).filter(|&step| !job.is_done(step)).collect();
        let work_of = |step: usize| {
            let (windows, group) = plan.step(step, groups.len());
            scorings[group].work(models[0]) * windows.len() as u64
        };
        let (mut done, total) = (0, todo.iter().map(|&step| work_of(step)).sum());

        let empty =
            || StepScores { sequences: Scores::default(), positions: plan.per_token.then(PositionScores::default) };
        let work = |model: &dyn ResidualModel,
                    steps: &mut dyn Iterator<Item = usize>,
                    hear: &mut dyn FnMut(Heard<(usize, Vec<StepScores>)>)| {
            for step in steps.filter(|&step| !job.is_done(step)) {
                let (windows, group) = plan.step(step, groups.len());
                let mut told = |heard| match heard {
                    Heard::Work(work) => hear(Heard::Work(work)),
                    Heard::Done(scores) => hear(Heard::Done((step, scores))),
                };
                scorings[group].run(model, std::iter::once(windows), empty, &mut told)?;
            }
            Ok(())
        };
        let mut n_steps = 0;
        let take = |heard: Heard<(usize, Vec<StepScores>)>| {
            match heard {
                Heard::Work(work) => {
                    done += work;
                    on_progress(Progress { done, total });
                }
                Heard::Done((step, scores)) => {
                    let (_, group) = plan.step(step, groups.len());
                    let scores = scorings[group].plans().iter().zip(scores);
                    let own = scores.filter(|(plan, _)| groups[group].contains(plan)).collect();
                    write(job, step, &device, own)?;
                    n_steps += 1;
                }
            }
            Ok(())
        };
        share_out(&models, todo, work, take)?;
        Ok(n_steps)
    }
}

/// Writes what a step gave; its tokens first, so that a step that counts as done has them.
fn write(job: &Job, step: usize, device: &str, scores: Vec<(&LayerPlan, StepScores)>) -> Result<()> {
    #[cfg(feature = "parquet")]
    if job.plan().per_token {
        let tokens = scores.iter().filter_map(|(plan, scores)| Some((*plan, scores.positions.as_ref()?)));
        job.write_tokens(step, &super::table::of_tokens(job, &tokens.collect()))?;
    }
    let record = |(plan, scores): (&LayerPlan, StepScores)| PlanScores { plan: plan.clone(), scores: scores.sequences };
    job.write_step(step, device, scores.into_iter().map(record).collect())
}

/// What a step measures of a plan.
struct StepScores {
    sequences: Scores,
    /// Where every token's numbers are to be kept.
    positions: Option<PositionScores>,
}

impl ScoreSink for StepScores {
    fn row(&mut self, sequence: usize, position: usize, row: &Row) {
        self.sequences.row(sequence, position, row);
        self.positions.iter_mut().for_each(|positions| positions.row(sequence, position, row));
    }
}
