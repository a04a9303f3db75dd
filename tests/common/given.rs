//! A model and a corpus that jobs are made of: [`Given`].

use std::path::Path;

use stratigraph::Experiment;
use stratigraph::job::{Job, JobModel, JobPlan, Merged, Shard, ShardRun, StepSize, hash_checkpoint};
use stratigraph::prelude::*;

use super::{device, fixture};

pub const EXPERIMENTS: [Experiment; 3] = [Experiment::Delete, Experiment::Swap, Experiment::Lens];

pub struct Given {
    pub model: Decoder,
    pub sha256: String,
    pub windows: TokenWindows,
}

impl Given {
    pub fn new(name: &str) -> Self {
        let checkpoint = Checkpoint::open(fixture(name)).unwrap();
        let ids: Vec<u32> = (0..7 * 12).map(|i| (i * i * 7 % 60) as u32).collect();
        Self {
            model: checkpoint.load(&device()).unwrap(),
            sha256: hash_checkpoint(&checkpoint).unwrap(),
            windows: TokenWindows::new(&ids, 12).unwrap(),
        }
    }

    pub fn plan(&self, experiments: &[Experiment]) -> JobPlan {
        let model = JobModel::of(&self.model, "fixture", "nowhere", self.sha256.clone());
        JobPlan::new(&self.model, model, ("text", &self.windows), experiments).unwrap()
    }

    pub fn job(&self, path: &Path, plan: JobPlan) -> Job {
        Job::create(path, plan, self.windows.clone()).unwrap()
    }

    pub fn run(&self, job: &Job, shard: Shard) -> usize {
        ShardRun::new(job, "flex", &self.model, &self.sha256).unwrap().shard(shard).run().unwrap()
    }

    /// Makes a job of small steps in a new directory, and does all of it.
    pub fn done(&self, path: &Path, experiments: &[Experiment], step: StepSize) -> (Job, Merged) {
        let job = self.job(path, JobPlan { step, ..self.plan(experiments) });
        assert_eq!(self.run(&job, Shard::WHOLE), job.plan().n_steps());
        let merged = job.merge(&[]).unwrap();
        (job, merged)
    }
}

pub const SMALL: StepSize = StepSize { windows: 2, plans: 3 };
