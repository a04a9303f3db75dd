//! Jobs on the small model: [`Given`].

use std::path::Path;

use stratigraph_core::TokenWindows;
use stratigraph_study::job::{Job, JobCorpus, JobModel, JobPlan, Merged, Shard, ShardRun, StepSize};
use stratigraph_study::{Findings, Study};
use stratigraph_surgery::Sweep;
use stratigraph_testing::device;

use crate::small::{Small, windows};

/// What stands for the hash of the model's content.
pub const SHA256: &str = "01ab";

/// A model and a corpus.
pub struct Given {
    pub model: Small,
    pub windows: TokenWindows,
}

pub fn sweeps() -> [Sweep; 3] {
    [Sweep::delete(), Sweep::swap(), Sweep::lens()]
}

/// Steps of two windows and three interventions.
pub fn small_steps() -> StepSize {
    StepSize::new(2).with_interventions(3)
}

impl Given {
    pub fn new() -> Self {
        Self { model: Small::new(&device()), windows: windows() }
    }

    /// A plan without sweeps.
    pub fn plan(&self) -> JobPlan {
        let model = JobModel::new(&self.model, "small", "nowhere", SHA256);
        JobPlan::new(&self.model, model, JobCorpus::new("text", &self.windows), &self.windows).unwrap()
    }

    /// A plan of some sweeps in small steps.
    pub fn plan_of(&self, sweeps: &[Sweep]) -> JobPlan {
        let plan = sweeps.iter().fold(self.plan(), |plan, sweep| plan.with_sweep(sweep).unwrap());
        plan.with_step_size(small_steps()).unwrap()
    }

    pub fn job(&self, path: &Path, plan: JobPlan) -> Job {
        Job::create(path, plan, self.windows.clone()).unwrap()
    }

    pub fn run(&self, job: &Job, shard: Shard) -> usize {
        ShardRun::new(job, "flex", &self.model, SHA256).unwrap().with_shard(shard).run().unwrap()
    }

    /// Makes a job of small steps in a new directory, and does all of it.
    pub fn done(&self, path: &Path, sweeps: &[Sweep]) -> (Job, Merged) {
        let job = self.job(path, self.plan_of(sweeps));
        assert_eq!(self.run(&job, Shard::WHOLE), job.n_steps());
        let merged = job.merge(&[]).unwrap();
        (job, merged)
    }

    /// A study that records the same names.
    pub fn study(&self, sweeps: &[Sweep]) -> Study<'_> {
        let study = Study::new(&self.model).with_names("small", "text");
        sweeps.iter().fold(study, |study, sweep| study.add(sweep.clone()))
    }

    /// What a study of some sweeps finds.
    pub fn studied(&self, sweeps: &[Sweep]) -> Findings {
        self.study(sweeps).run(&self.windows).unwrap()
    }
}
