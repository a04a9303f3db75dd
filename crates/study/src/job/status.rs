//! The progress of a job: [`Status`].

use std::fmt;

use super::{Job, Shard};
use crate::{Result, StudyError};

/// Which steps of a job are done. It prints as one line: how many are done, and which are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// How many steps there are.
    pub n_steps: usize,
    /// Those that are not done yet, in order.
    pub missing: Vec<usize>,
}

impl Status {
    /// How many steps are done.
    pub fn n_done(&self) -> usize {
        self.n_steps - self.missing.len()
    }

    /// The shards that have steps left to do, when the job is divided into `n_shards`.
    pub fn unfinished(&self, n_shards: usize) -> Vec<Shard> {
        if n_shards == 0 {
            return Vec::new();
        }
        let shards = self.missing.iter().map(|&step| Shard::with_step(step, self.n_steps, n_shards));
        let mut shards: Vec<_> = shards.collect();
        shards.dedup();
        shards
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} steps done", self.n_done(), self.n_steps)?;
        if self.missing.is_empty() {
            return Ok(());
        }
        f.write_str("; missing: ")?;
        for (i, run) in self.missing.chunk_by(|a, b| a + 1 == *b).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match run {
                [step] => write!(f, "{comma}{step}")?,
                _ => write!(f, "{comma}{} to {}", run[0], run[run.len() - 1])?,
            }
        }
        Ok(())
    }
}

impl Job {
    /// The progress of all shards together, in this directory and in `others`, copies of the job that ran elsewhere.
    ///
    /// # Errors
    /// When one of the others is another job, or a record is another job's or damaged.
    pub fn status(&self, others: &[Job]) -> Result<Status> {
        others.iter().try_for_each(|other| self.check_same(other))?;
        let mut missing = Vec::new();
        for step in 0..self.n_steps() {
            let mut jobs = std::iter::once(self).chain(others).map(|job| job.is_done(step));
            if !jobs.try_fold(false, |done, job| Ok::<_, StudyError>(done || job?))? {
                missing.push(step);
            }
        }
        Ok(Status { n_steps: self.n_steps(), missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_names_what_is_missing() {
        let status = |missing: &[usize]| Status { n_steps: 10, missing: missing.to_vec() };
        assert_eq!(status(&[]).to_string(), "10 of 10 steps done");
        assert_eq!(status(&[0, 3, 4, 5, 9]).to_string(), "5 of 10 steps done; missing: 0, 3 to 5, 9");
        let unfinished = |n| status(&[4, 9]).unfinished(n).iter().map(Shard::to_string).collect::<Vec<_>>();
        assert_eq!(unfinished(5), ["2/5", "4/5"]);
        assert_eq!(unfinished(1), ["0/1"]);
        assert!(status(&[]).unfinished(3).is_empty());
    }
}
