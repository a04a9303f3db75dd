//! Runs a shard of a job: [`ShardRun`].

use stratigraph_core::ResidualModel;
use stratigraph_corpus::TextDecoder;
use stratigraph_surgery::Budget;

use super::run_steps::{Done, Steps};
use super::{Job, JobModel, Shard};
use crate::study::check_precision;
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
    text: Option<&'a (dyn TextDecoder + Sync)>,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

/// The model on a device.
pub(super) struct NamedDevice<'a> {
    pub(super) name: String,
    pub(super) model: &'a dyn ResidualModel,
}

impl<'a> ShardRun<'a> {
    /// All of a job, with its model on a device called `device`; `sha256` is the hash of the model's content.
    ///
    /// # Errors
    /// When the job is for another model or another precision, or was planned by another version, whose numbers may differ.
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
            text: None,
            on_progress: Box::new(|_| {}),
        };
        run.also_on(device, model)
    }

    /// With the same model on another device: a free device takes the next step.
    ///
    /// # Errors
    /// When it is a model of another shape, or holds its weights in another precision than the job was planned with.
    pub fn also_on(mut self, device: &str, model: &'a dyn ResidualModel) -> Result<Self> {
        let JobModel { n_layers, d_model, d_vocab, .. } = self.job.plan().model;
        let (expected, found) = ([n_layers, d_model, d_vocab], [model.n_layers(), model.d_model(), model.d_vocab()]);
        if found != expected {
            return Err(StudyError::OtherReplica { expected, found });
        }
        check_precision(self.job.plan().dtype, model)?;
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

    /// With the tokenizer, which parts of a job need that [write texts](super::JobPart::takes_text).
    pub fn with_text(self, text: &'a (dyn TextDecoder + Sync)) -> Self {
        Self { text: Some(text), ..self }
    }

    /// With a function that is called with the progress of the shard.
    pub fn on_progress(mut self, on_progress: impl FnMut(Progress) + 'a) -> Self {
        self.on_progress = Box::new(on_progress);
        self
    }

    /// Does the remaining steps, and returns their number.
    ///
    /// # Errors
    /// When the job does not fit the model or needs a tokenizer, the budget is too small, a score is not finite, a record is another job's,
    /// or a file cannot be written; steps that were written before stay.
    pub fn run(self) -> Result<usize> {
        let Self { job, devices, shard, budget, text, mut on_progress } = self;
        job.make_directories()?;
        let mut steps = Steps::new(job, budget, text)?;
        let left = steps.left(shard)?;
        steps.take_means(&left, devices[0].model)?;
        steps.take_lenses(&left, devices[0].model)?;
        let total = left.iter().map(|&step| steps.work(step, devices[0].model)).sum::<Result<u64>>()?;
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
