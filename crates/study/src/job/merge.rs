//! How far a job is, and what came of it: [`Status`], [`Merged`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use stratigraph_probes::scores::Scores;
use stratigraph_stages::{CorpusRecord, ModelRecord, Profile};
use stratigraph_surgery::LayerPlan;

use super::store::PlanScores;
use super::{Job, Shard};
use crate::{Error, Findings, Result};

/// Which steps of a job are done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// How many steps there are.
    pub n_steps: usize,
    /// Those that nobody has done yet, in order.
    pub missing: Vec<usize>,
}

impl Status {
    /// How many steps are done.
    pub fn n_done(&self) -> usize {
        self.n_steps - self.missing.len()
    }

    /// The shards that have steps left to do, when the job is cut into so many.
    pub fn unfinished(&self, n_shards: usize) -> Vec<Shard> {
        let left = |shard: &Shard| shard.of(self.n_steps).any(|step| self.missing.binary_search(&step).is_ok());
        Shard::each(n_shards).filter(left).collect()
    }
}

impl fmt::Display for Status {
    /// One line: how many steps are done, and which are missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} steps are done", self.n_done(), self.n_steps)?;
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

/// What a finished job found: what one run over everything finds, but for the rounding of devices.
#[derive(Debug, Clone)]
pub struct Merged {
    /// Curves, values and interventions.
    pub findings: Findings,
    /// The scores of each distinct plan, per window.
    pub scores: BTreeMap<LayerPlan, Scores>,
    /// The devices that it was computed on.
    pub device: String,
}

impl Merged {
    /// The record of it, made by `command`, word by word; its stages are not told yet.
    pub fn profile(&self, job: &Job, command: Vec<String>) -> Profile {
        let plan = job.plan();
        let (model, corpus) = (&plan.model, &plan.corpus);
        let (name, n_layers) = (model.name.clone(), model.n_layers);
        Profile {
            model: ModelRecord { name, n_layers, d_model: model.d_model, d_vocab: model.d_vocab },
            corpus: CorpusRecord {
                name: corpus.name.clone(),
                n_sequences: corpus.n_sequences,
                seq_len: corpus.seq_len,
                special_tokens: corpus.special_tokens,
            },
            device: self.device.clone(),
            versions: plan.versions.clone(),
            command,
            seed: plan.seed,
            values: self.findings.values.clone(),
            matrices: self.findings.matrices.clone(),
            curves: self.findings.curves.clone(),
            stages: None,
        }
    }
}

impl Job {
    /// How far all shards are together, in this directory and in `others`, copies of the job that ran elsewhere.
    ///
    /// # Errors
    /// When one of the others is another job, or a record is another's or damaged.
    pub fn status(&self, others: &[Job]) -> Result<Status> {
        others.iter().try_for_each(|other| self.check_same(other))?;
        let (n_steps, groups) = (self.plan().n_steps(), self.plan().groups());
        let mut missing = Vec::new();
        for step in 0..n_steps {
            let mut jobs = std::iter::once(self).chain(others).map(|job| job.is_done(step, &groups));
            if !jobs.try_fold(false, |done, job| Ok::<_, Error>(done || job?))? {
                missing.push(step);
            }
        }
        Ok(Status { n_steps, missing })
    }

    /// Puts together what all steps gave, in this directory and in `others`. A window's numbers lie in one step, so merging adds
    /// no rounding, whichever shards did what.
    ///
    /// # Errors
    /// When steps are missing, one of the others is another job, or a record is another's or damaged.
    pub fn merge(&self, others: &[Job]) -> Result<Merged> {
        others.iter().try_for_each(|other| self.check_same(other))?;
        let groups = self.plan().groups();
        let mut scores: BTreeMap<LayerPlan, Scores> = BTreeMap::new();
        let (n_steps, mut missing, mut devices) = (self.plan().n_steps(), Vec::new(), BTreeSet::new());
        for step in 0..n_steps {
            let records = std::iter::once(self).chain(others).map(|job| job.read_step(step, &groups));
            let Some(record) = records.flat_map(Result::transpose).next().transpose()? else {
                missing.push(step);
                continue;
            };
            devices.insert(record.device);
            for PlanScores { plan, scores: measured } in record.scores {
                scores.entry(plan).or_default().merge(&measured)?;
            }
        }
        if !missing.is_empty() {
            let (path, status) = (self.path().to_owned(), Status { n_steps, missing });
            return Err(Error::JobUnfinished { path, status });
        }
        let device = devices.into_iter().collect::<Vec<_>>().join(", ");
        let findings = self.plan().runs().collect(&self.plan().metrics()?, &scores);
        Ok(Merged { findings, scores, device })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_names_what_is_missing() {
        let status = |missing: &[usize]| Status { n_steps: 10, missing: missing.to_vec() };
        assert_eq!(status(&[]).to_string(), "10 of 10 steps are done");
        assert_eq!(status(&[0, 3, 4, 5, 9]).to_string(), "5 of 10 steps are done; missing: 0, 3 to 5, 9");
        let unfinished = |n| status(&[4, 9]).unfinished(n).iter().map(Shard::to_string).collect::<Vec<_>>();
        assert_eq!(unfinished(5), ["2/5", "4/5"]);
        assert_eq!(unfinished(1), ["0/1"]);
    }
}
