//! The result of a job: [`Merged`].

use std::collections::{BTreeMap, BTreeSet};

use stratigraph_probes::scores::Scores;
use stratigraph_profile::{ModelRecord, Profile};

use super::{Job, JobCorpus, JobModel, Status};
use crate::findings::corpus_record;
use crate::run_scores::RunScores;
use crate::study::units;
use crate::{Findings, Result, StudyError, unigram};

/// The result of a finished job: that of one run over everything, except for rounding differences between devices.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Merged {
    /// Curves, matrices, values and interventions; the record names the devices.
    pub findings: Findings,
    /// The devices that the steps were computed on, with commas between.
    pub device: String,
    /// The scores of each distinct intervention.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "the tables are made of them"))]
    pub(crate) scores: Vec<Scores>,
}

impl Merged {
    /// The profile, with the stages of inference that its curves show, made by `command`, argument by argument.
    pub fn into_profile(self, command: Vec<String>) -> Profile {
        self.findings.with_record(self.device, command).into_profile()
    }
}

impl Job {
    /// Merges the results of all steps, in this directory and in `others`, copies of the job that ran elsewhere. The
    /// values of a window are in one step, so merging adds no rounding, whichever shard did which step.
    ///
    /// # Errors
    /// When steps are missing, one of the others is another job, or a record is another job's or damaged.
    pub fn merge(&self, others: &[Job]) -> Result<Merged> {
        others.iter().try_for_each(|other| self.check_same(other))?;
        let index: BTreeMap<String, usize> =
            self.interventions().iter().enumerate().map(|(index, it)| (it.to_string(), index)).collect();
        let mut scores = vec![RunScores::new(self.token_groups()); index.len()];
        let (mut missing, mut devices) = (Vec::new(), BTreeSet::new());
        for step in 0..self.n_steps() {
            let records = std::iter::once(self).chain(others).map(|job| job.read_step(step));
            let Some(record) = records.flat_map(Result::transpose).next().transpose()? else {
                missing.push(step);
                continue;
            };
            devices.insert(record.device);
            for scored in &record.scores {
                let measured = scored.run_scores(self).expect("a record that was read is complete");
                scores[index[&scored.intervention]].merge(&measured)?;
            }
        }
        if !missing.is_empty() {
            let status = Status { n_steps: self.n_steps(), missing };
            return Err(StudyError::JobUnfinished { path: self.path().to_owned(), status });
        }
        let device = devices.into_iter().collect::<Vec<_>>().join(", ");
        let findings = self.findings(&scores)?.with_record(device.clone(), Vec::new());
        Ok(Merged { findings, device, scores: scores.into_iter().map(|scores| scores.all).collect() })
    }

    /// Findings from the scores of each distinct intervention.
    fn findings(&self, scores: &[RunScores]) -> Result<Findings> {
        let metrics = self.plan().metrics()?;
        let is_clean = |name: &str| metrics.get(name).is_some_and(|metric| !metric.is_comparison());
        let JobCorpus { name, special_tokens, .. } = &self.plan().corpus;
        let corpus = corpus_record(self.windows(), name);
        let with_special_tokens = *special_tokens || corpus.special_tokens;
        let (model, corpus) = (model_record(&self.plan().model), corpus.with_special_tokens(with_special_tokens));
        let mut findings = Findings::new(model, corpus).with_seed(self.plan().seed);
        self.runs().collect(scores, &units(&metrics), is_clean, &mut findings)?;
        unigram::add(self.windows(), &mut findings)?;
        Ok(findings)
    }
}

fn model_record(JobModel { name, n_layers, d_model, d_vocab, .. }: &JobModel) -> ModelRecord {
    ModelRecord::new(name, *n_layers, *d_model, *d_vocab)
}
