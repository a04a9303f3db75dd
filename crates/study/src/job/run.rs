//! A shard of a job, done: [`ShardRun`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use stratigraph_core::ResidualModel;
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::scores::{PositionScores, Row, ScoreSink, Scores};
use stratigraph_surgery::Budget;

use super::means::takes_means;
use super::store::StepWork;
use super::{Job, JobModel, Shard};
use crate::scoring::{ReadoutOptions, Scorer, Scoring};
use crate::workers::{WorkerEvent, run_workers};
use crate::{Progress, Result, StudyError, versions};

/// Does the steps of a shard that are not done yet, one after the other, and writes each.
///
/// ```no_run
/// use stratigraph_core::ResidualModel;
/// use stratigraph_study::job::{Job, ShardRun};
///
/// /// `sha256` is the hash of the checkpoint that the model was loaded from.
/// fn run(model: &dyn ResidualModel, sha256: &str) -> stratigraph_study::Result<usize> {
///     let job = Job::open("sweeps/pythia")?;
///     ShardRun::new(&job, "flex", model, sha256)?.with_shard("3/8".parse()?).run()
/// }
/// ```
pub struct ShardRun<'a> {
    job: &'a Job,
    devices: Vec<NamedDevice<'a>>,
    shard: Shard,
    budget: Budget,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

/// The model on a device.
struct NamedDevice<'a> {
    name: String,
    model: &'a dyn ResidualModel,
}

impl<'a> ShardRun<'a> {
    /// All of a job, with its model on a device called `device`; `sha256` is the hash of the model's content.
    ///
    /// # Errors
    /// When the job is for another model, or was planned by another version, whose numbers may differ.
    pub fn new(job: &'a Job, device: &str, model: &'a dyn ResidualModel, sha256: &str) -> Result<Self> {
        job.check_model(sha256)?;
        job.plan().check_build()?;
        let planned = &job.plan().versions;
        if *planned != versions() {
            let (found, expected) = (format!("{planned:?}"), format!("{:?}", versions()));
            return Err(StudyError::OtherJob { path: job.path().to_owned(), what: "version", found, expected });
        }
        let run = Self {
            job,
            devices: Vec::new(),
            shard: Shard::WHOLE,
            budget: Budget::default(),
            on_progress: Box::new(|_| {}),
        };
        run.also_on(device, model)
    }

    /// With the same model on another device: a free device takes the next step.
    ///
    /// # Errors
    /// When it is a model of another shape.
    pub fn also_on(mut self, device: &str, model: &'a dyn ResidualModel) -> Result<Self> {
        let JobModel { n_layers, d_model, d_vocab, .. } = self.job.plan().model;
        let (expected, found) = ([n_layers, d_model, d_vocab], [model.n_layers(), model.d_model(), model.d_vocab()]);
        if found != expected {
            return Err(StudyError::OtherReplica { expected, found });
        }
        self.devices.push(NamedDevice { name: device.to_owned(), model });
        Ok(self)
    }

    /// With a part of the job alone.
    pub fn with_shard(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// With another memory budget, for each device.
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// With a function that is called with the progress of the shard.
    pub fn on_progress(mut self, on_progress: impl FnMut(Progress) + 'a) -> Self {
        self.on_progress = Box::new(on_progress);
        self
    }

    /// Does the steps that are left, and returns how many those were.
    ///
    /// # Errors
    /// When the job does not fit the model, the budget is too small, a score is not finite, a record is another job's,
    /// or a file cannot be written; steps that were written before stay.
    pub fn run(self) -> Result<usize> {
        let Self { job, devices, shard, budget, mut on_progress } = self;
        job.make_directories()?;
        let mut steps = Steps::new(job, budget)?;
        let left = steps.left(shard)?;
        steps.take_means(&left, devices[0].model, budget)?;
        let total = left.iter().map(|&step| steps.work(step, devices[0].model)).sum();
        let work = |index: usize, left: &mut dyn Iterator<Item = usize>, report: &mut dyn FnMut(WorkerEvent<Done>)| {
            steps.run_on(&devices[index], left, report)
        };
        let (mut progress, mut n_steps) = (Progress::new(0, total), 0);
        let take = |event: WorkerEvent<Done>| {
            match event {
                WorkerEvent::Progress(work) => {
                    progress.done += work;
                    on_progress(progress);
                }
                WorkerEvent::Done(done) => {
                    steps.write(done)?;
                    n_steps += 1;
                }
            }
            Ok(())
        };
        run_workers(devices.len(), left, work, take)?;
        job.remove_leftovers();
        Ok(n_steps)
    }
}

/// The steps of a job, with a scoring for each group of interventions.
struct Steps<'a> {
    job: &'a Job,
    scorings: Vec<Scoring<'a>>,
}

impl<'a> Steps<'a> {
    fn new(job: &'a Job, budget: Budget) -> Result<Self> {
        let options = ReadoutOptions::new(job.plan().metrics()?, budget);
        let clean = &job.interventions()[0];
        let scoring = |group: &[_]| Scoring::new(group.to_vec(), clean, job.windows(), options.clone());
        Ok(Self { job, scorings: job.groups().map(scoring).collect() })
    }

    /// Gets the means over the corpus that some of these steps take, measured on `model` where no process has yet.
    fn take_means(&mut self, left: &[usize], model: &dyn ResidualModel, budget: Budget) -> Result<()> {
        let takes = |step: &usize| self.job.group(self.job.step(*step).group).iter().any(takes_means);
        if left.iter().any(takes) {
            let budget = ReadoutOptions::new(self.job.plan().metrics()?, budget).executor_budget();
            let means = self.job.means(model, budget)?;
            let scorings = std::mem::take(&mut self.scorings);
            self.scorings = scorings.into_iter().map(|scoring| scoring.with_means(means.clone())).collect();
        }
        Ok(())
    }

    /// The steps of a shard that are not done yet.
    fn left(&self, shard: Shard) -> Result<Vec<usize>> {
        let mut left = Vec::new();
        for step in shard.part_of(self.job.n_steps()) {
            if !self.job.is_done(step)? {
                left.push(step);
            }
        }
        Ok(left)
    }

    fn work(&self, step: usize, model: &dyn ResidualModel) -> u64 {
        let StepWork { windows, group } = self.job.step(step);
        self.scorings[group].work(model) * windows.len() as u64
    }

    /// Runs steps on a device, except those that another process has done in the meantime.
    fn run_on(
        &self,
        NamedDevice { name, model }: &NamedDevice,
        left: &mut dyn Iterator<Item = usize>,
        report: &mut dyn FnMut(WorkerEvent<Done>),
    ) -> Result<()> {
        let plan = self.job.plan();
        let positions = plan.per_token.then(PositionScores::default);
        let empty = || Measured { sequences: Scores::default(), positions: positions.clone() };
        let mut scorers: BTreeMap<usize, Scorer> = BTreeMap::new();
        for step in left {
            if self.job.is_done(step)? {
                continue;
            }
            let StepWork { windows, group } = self.job.step(step);
            let longest = plan.step.windows.min(plan.corpus.n_sequences);
            let scorer = match scorers.entry(group) {
                Entry::Occupied(scorer) => scorer.into_mut(),
                Entry::Vacant(place) => place.insert(self.scorings[group].on(*model, longest)?),
            };
            let mut measured = scorer.score(windows, empty, &mut |work| report(WorkerEvent::Progress(work)))?;
            measured.truncate(self.job.group(group).len()); // the unchanged model may follow the group's own
            report(WorkerEvent::Done(Done { device: name.clone(), step, measured }));
        }
        Ok(())
    }

    /// Writes the results of a step, its tokens first, so that a step with a record has its tokens too.
    fn write(&self, Done { device, step, measured }: Done) -> Result<()> {
        #[cfg(feature = "parquet")]
        if self.job.plan().per_token {
            let positions = measured.iter().filter_map(|measured| measured.positions.as_ref()).collect::<Vec<_>>();
            self.job.write_tokens(step, &super::parquet::token_table(self.job, step, &positions))?;
        }
        self.job.write_step(step, &device, measured.into_iter().map(|measured| measured.sequences).collect())
    }
}

/// A step that a device has done.
struct Done {
    device: String,
    step: usize,
    /// Of each intervention of its group.
    measured: Vec<Measured>,
}

/// What a step measures under an intervention.
struct Measured {
    sequences: Scores,
    /// The values of every token, where they are kept.
    positions: Option<PositionScores>,
}

impl ScoreSink for Measured {
    fn begin(&mut self, metrics: &Metrics) -> stratigraph_probes::Result<()> {
        self.sequences.begin(metrics)?;
        self.positions.iter_mut().try_for_each(|positions| positions.begin(metrics))
    }

    fn row(&mut self, sequence: usize, position: usize, row: &Row) {
        self.sequences.row(sequence, position, row);
        self.positions.iter_mut().for_each(|positions| positions.row(sequence, position, row));
    }
}
