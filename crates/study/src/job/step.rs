//! The results of a step, in a file: [`StepRecord`].

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stratigraph_probes::scores::{GroupScores, Scores};

use super::files::{remove_leftovers, write_whole};
use super::store::{PER_TOKEN, STEPS, StepWork, refuse_other};
use super::{Job, JobPlan};
use crate::run_scores::RunScores;
use crate::{Result, StudyError};

/// The scores of an intervention in a step.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepScores {
    /// The intervention as text.
    pub(crate) intervention: String,
    pub(crate) scores: Scores,
    /// Of each group of positions, by grouping.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, Vec<Scores>>,
}

impl StepScores {
    fn new(intervention: String, RunScores { all, groups }: RunScores) -> Self {
        let groups = groups.into_iter().map(|of| (of.groups().name().to_owned(), of.scores().to_vec())).collect();
        Self { intervention, scores: all, groups }
    }

    /// The scores by the groupings of the job; none where one is missing or one is too many.
    pub(crate) fn run_scores(&self, job: &Job) -> Option<RunScores> {
        let groupings = job.token_groups();
        let groups = groupings.iter().map(|of| {
            let scores = self.groups.get(of.name())?.clone();
            GroupScores::from_scores(of.clone(), scores).ok()
        });
        let groups = groups.collect::<Option<Vec<_>>>().filter(|groups| groups.len() == self.groups.len())?;
        Some(RunScores { all: self.scores.clone(), groups })
    }
}

/// The content of a step's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepRecord {
    job: String,
    model: String,
    corpus: String,
    step: usize,
    windows: Range<usize>,
    pub(crate) device: String,
    pub(crate) scores: Vec<StepScores>,
}

impl Job {
    /// The file of a step's record.
    fn step_file(&self, step: usize) -> PathBuf {
        self.path().join(STEPS).join(format!("{step:06}.json"))
    }

    /// The file of the values of a step's tokens.
    fn tokens_file(&self, step: usize) -> PathBuf {
        self.path().join(PER_TOKEN).join(format!("{step:06}.parquet"))
    }

    /// Whether a step is done: its record is there and holds what it should, and so do its tokens.
    pub(crate) fn is_done(&self, step: usize) -> Result<bool> {
        let tokens = !self.plan().per_token || self.tokens_file(step).exists();
        Ok(tokens && self.read_step(step)?.is_some())
    }

    /// Writes the results of a step, the scores of its interventions in their order.
    pub(crate) fn write_step(&self, step: usize, device: &str, scores: Vec<RunScores>) -> Result<()> {
        let StepWork { windows, group } = self.step(step);
        let texts = self.group(group).iter().map(ToString::to_string);
        let scores = texts.zip(scores).map(|(intervention, scores)| StepScores::new(intervention, scores));
        let record = StepRecord {
            job: self.hash().to_owned(),
            model: self.plan().model.sha256.clone(),
            corpus: self.plan().corpus.sha256.clone(),
            step,
            windows,
            device: device.to_owned(),
            scores: scores.collect(),
        };
        let json = serde_json::to_vec(&record).expect("a record is plain data");
        write_whole(&self.step_file(step), &json)
    }

    /// Writes the values of a step's tokens.
    #[cfg(feature = "parquet")]
    pub(crate) fn write_tokens(&self, step: usize, table: &[u8]) -> Result<()> {
        write_whole(&self.tokens_file(step), table)
    }

    /// Reads the results of a step; `None` when it is not done.
    ///
    /// # Errors
    /// When the record is of another job, or not of this step.
    pub(crate) fn read_step(&self, step: usize) -> Result<Option<StepRecord>> {
        let path = self.step_file(step);
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(reason) if reason.kind() == ErrorKind::NotFound => return Ok(None),
            Err(reason) => return Err(StudyError::io(&path, reason)),
        };
        let damaged = |reason: String| StudyError::JobDamaged { path: path.clone(), reason };
        let record: StepRecord = serde_json::from_slice(&json).map_err(|reason| damaged(reason.to_string()))?;
        let JobPlan { model, corpus, .. } = self.plan();
        refuse_other(&path, "model", &record.model, &model.sha256)?;
        refuse_other(&path, "corpus", &record.corpus, &corpus.sha256)?;
        refuse_other(&path, "plan", &record.job, self.hash())?;
        if !self.is_complete(&record, step)? {
            return Err(damaged(
                "it does not hold the scores of its step; delete it, and run the shard again".to_owned(),
            ));
        }
        Ok(Some(record))
    }

    /// Whether a record holds every score of a step and no other.
    fn is_complete(&self, record: &StepRecord, step: usize) -> Result<bool> {
        let StepWork { windows, group } = self.step(step);
        let n_positions = self.windows().seq_len() - self.windows().scored_from();
        let metrics = self.plan().metrics()?;
        let texts = self.group(group).iter().map(ToString::to_string);
        let are_complete = |RunScores { all, groups }: RunScores| {
            all.are_of(&metrics, &windows, n_positions) && groups.iter().all(|of| of.are_of(&metrics, &windows))
        };
        Ok(record.step == step
            && record.windows == windows
            && record.scores.iter().map(|scored| &scored.intervention).eq(texts.collect::<Vec<_>>().iter())
            && record.scores.iter().all(|scored| scored.run_scores(self).is_some_and(are_complete)))
    }

    /// Removes partial files of killed processes whose complete files exist.
    pub(crate) fn remove_leftovers(&self) {
        remove_leftovers(self.path());
        [STEPS, PER_TOKEN].iter().for_each(|directory| remove_leftovers(&self.path().join(directory)));
    }
}
