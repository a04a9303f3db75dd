//! A shard of a job, done: [`ShardRun`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use stratigraph_core::ResidualModel;
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::scores::{PositionScores, Row, ScoreSink, Scores};
use stratigraph_surgery::{Budget, LayerPlan};

use super::store::PlanScores;
use super::{Job, JobModel, Shard};
use crate::scoring::{Scorer, Scoring};
use crate::share::{Heard, share_out};
use crate::study::shape;
use crate::{Error, Progress, Result, versions};

/// Does the steps of a shard that are not done yet, one after the other, and writes each.
///
/// ```no_run
/// use stratigraph::job::{Job, ShardRun, hash_checkpoint};
/// # fn run(checkpoint: stratigraph::models::Pretrained) -> stratigraph::Result<()> {
/// let job = Job::open("sweeps/pythia")?;
/// let model = checkpoint.load(&stratigraph::Backend::Flex.device()?)?;
/// ShardRun::new(&job, "flex", &model, &hash_checkpoint(&checkpoint)?)?.shard("3/8".parse()?).run()?;
/// # Ok(())
/// # }
/// ```
pub struct ShardRun<'a> {
    job: &'a Job,
    /// The model on each device, with the device's name.
    devices: Vec<(String, &'a dyn ResidualModel)>,
    shard: Shard,
    budget: Budget,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

impl<'a> ShardRun<'a> {
    /// All of a job, with its model on a device called `device`; `sha256` is what [`hash_checkpoint`](super::hash_checkpoint)
    /// gives.
    ///
    /// # Errors
    /// When the job is for another model, or was planned by another version, whose numbers may differ.
    pub fn new(job: &'a Job, device: &str, model: &'a dyn ResidualModel, sha256: &str) -> Result<Self> {
        job.check_model(sha256)?;
        job.plan().check_build()?;
        let planned = &job.plan().versions;
        if *planned != versions() {
            let (found, expected) = (format!("{planned:?}"), format!("{:?}", versions()));
            return Err(Error::OtherJob { path: job.path().to_owned(), what: "version", found, expected });
        }
        let run = Self {
            job,
            devices: Vec::new(),
            shard: Shard::WHOLE,
            budget: Budget::default(),
            on_progress: Box::new(|_| {}),
        };
        Ok(run.also_on(device, model))
    }

    /// With the same model on another device: whichever is free takes the next step.
    ///
    /// # Panics
    /// When it is a model of another shape.
    pub fn also_on(mut self, device: &str, model: &'a dyn ResidualModel) -> Self {
        let JobModel { n_layers, d_model, d_vocab, .. } = self.job.plan().model;
        assert_eq!(shape(model), [n_layers, d_model, d_vocab], "layers, width and vocabulary of the job's model");
        self.devices.push((device.to_owned(), model));
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

    /// With a function that hears how far the shard is.
    pub fn on_progress(mut self, hear: impl FnMut(Progress) + 'a) -> Self {
        self.on_progress = Box::new(hear);
        self
    }

    /// Does what is left, and gives how many steps that were.
    ///
    /// # Errors
    /// When the job does not fit the model, the budget is too small, a score is not finite, a record is another job's, or a
    /// file cannot be written; steps that were written before stay.
    pub fn run(self) -> Result<usize> {
        let Self { job, devices, shard, budget, mut on_progress } = self;
        let plan = job.plan();
        job.make_directories()?;
        let (runs, groups) = (plan.runs(), plan.groups());
        let metrics = plan.metrics()?;
        let scoring = |group: &BTreeSet<_>| {
            let scoring = Scoring::new(group.clone(), runs.clean(), job.windows(), (budget, None));
            scoring.with_metrics(metrics.clone())
        };
        let steps = Steps { job, scorings: groups.iter().map(scoring).collect(), groups };
        let todo = steps.left(shard)?;
        let total = todo.iter().map(|&step| steps.work(step, devices[0].1)).sum();

        let work = |index: usize, todo: &mut dyn Iterator<Item = usize>, hear: &mut dyn FnMut(Heard<Done>)| {
            steps.run_on((index, devices[index].1), todo, hear)
        };
        let (mut done, mut n_steps) = (0, 0);
        let take = |heard: Heard<Done>| {
            match heard {
                Heard::Work(work) => {
                    done += work;
                    on_progress(Progress { done, total });
                }
                Heard::Done(Done { device, step, scores }) => {
                    steps.write(step, &devices[device].0, scores)?;
                    n_steps += 1;
                }
            }
            Ok(())
        };
        share_out(devices.len(), todo, work, take)?;
        job.remove_leftovers();
        Ok(n_steps)
    }
}

/// The steps of a job, with what each group of plans is scored by.
struct Steps<'a> {
    job: &'a Job,
    groups: Vec<BTreeSet<LayerPlan>>,
    scorings: Vec<Scoring<'a>>,
}

impl Steps<'_> {
    /// The steps of a shard that are not done yet.
    fn left(&self, shard: Shard) -> Result<Vec<usize>> {
        let mut left = Vec::new();
        for step in shard.of(self.job.plan().n_steps()) {
            if !self.job.is_done(step, &self.groups)? {
                left.push(step);
            }
        }
        Ok(left)
    }

    fn work(&self, step: usize, model: &dyn ResidualModel) -> u64 {
        let (windows, group) = self.job.plan().step(step, self.groups.len());
        self.scorings[group].work(model) * windows.len() as u64
    }

    /// Runs steps on a model, but for those that another process has done meanwhile.
    fn run_on(
        &self,
        (device, model): (usize, &dyn ResidualModel),
        todo: &mut dyn Iterator<Item = usize>,
        hear: &mut dyn FnMut(Heard<Done>),
    ) -> Result<()> {
        let plan = self.job.plan();
        let positions = plan.per_token.then(PositionScores::default);
        let empty = || StepScores { sequences: Scores::default(), positions: positions.clone() };
        let mut scorers: BTreeMap<usize, Scorer> = BTreeMap::new();
        for step in todo {
            if self.job.is_done(step, &self.groups)? {
                continue;
            }
            let (windows, group) = plan.step(step, self.groups.len());
            let scorer = match scorers.entry(group) {
                Entry::Occupied(scorer) => scorer.into_mut(),
                Entry::Vacant(place) => place.insert(self.scorings[group].on(model, plan.step.windows)?),
            };
            let scores = scorer.score(windows, empty, &mut |work| hear(Heard::Work(work)))?;
            hear(Heard::Done(Done { device, step, scores }));
        }
        Ok(())
    }

    /// Writes what a step gave; its tokens first, so that a step that counts as done has them.
    fn write(&self, step: usize, device: &str, scores: Vec<StepScores>) -> Result<()> {
        let (windows, group) = self.job.plan().step(step, self.groups.len());
        let scores = self.scorings[group].plans().iter().zip(scores);
        let own: Vec<_> = scores.filter(|(plan, _)| self.groups[group].contains(plan)).collect();
        #[cfg(feature = "parquet")]
        if self.job.plan().per_token {
            let tokens = own.iter().filter_map(|(plan, scores)| Some((*plan, scores.positions.as_ref()?)));
            self.job.write_tokens(step, &super::table::of_tokens(self.job, &tokens.collect()))?;
        }
        let record =
            |(plan, scores): (&LayerPlan, StepScores)| PlanScores { plan: plan.clone(), scores: scores.sequences };
        self.job.write_step((step, windows), device, own.into_iter().map(record).collect())
    }
}

/// A step that a device has done.
struct Done {
    device: usize,
    step: usize,
    /// Of each plan of its [`Scoring`].
    scores: Vec<StepScores>,
}

/// What a step measures of a plan.
struct StepScores {
    sequences: Scores,
    /// Where every token's numbers are to be kept.
    positions: Option<PositionScores>,
}

impl ScoreSink for StepScores {
    fn begin(&mut self, metrics: &Metrics) -> stratigraph_probes::Result<()> {
        self.sequences.begin(metrics)?;
        self.positions.iter_mut().try_for_each(|positions| positions.begin(metrics))
    }

    fn row(&mut self, sequence: usize, position: usize, row: &Row) {
        self.sequences.row(sequence, position, row);
        self.positions.iter_mut().for_each(|positions| positions.row(sequence, position, row));
    }
}
