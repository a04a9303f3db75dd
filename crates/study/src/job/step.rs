//! The results of a step, in a file: [`StepRecord`].

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stratigraph_probes::scores::{GroupScores, Scores};

use super::files::{remove_leftovers, write_whole};
use super::measured::{OnceFindings, StepResult};
use super::steps::StepWork;
use super::store::{PER_TOKEN, STEPS, refuse_other};
use super::{Job, JobPlan};
use crate::run_scores::RunScores;
use crate::{Result, StudyError, WindowMeasures};

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

/// The content of a step's file: one of scores, measures and findings.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepRecord {
    job: String,
    model: String,
    corpus: String,
    step: usize,
    windows: Range<usize>,
    pub(crate) device: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scores: Vec<StepScores>,
    /// What a part of a measurement found on the windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) measures: Option<WindowMeasures>,
    /// What a part of a measurement found that does not depend on the corpus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) findings: Option<OnceFindings>,
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
        let has_tokens = self.plan().per_token && matches!(self.step(step), StepWork::Scores { .. });
        let tokens = !has_tokens || self.tokens_file(step).exists();
        Ok(tokens && self.read_step(step)?.is_some())
    }

    /// Writes the results of a step; scores are those of its interventions in their order.
    pub(super) fn write_step(&self, step: usize, device: &str, result: StepResult) -> Result<()> {
        let work = self.step(step);
        let mut record = StepRecord {
            job: self.hash().to_owned(),
            model: self.plan().model.sha256.clone(),
            corpus: self.plan().corpus.sha256.clone(),
            step,
            windows: work.windows(),
            device: device.to_owned(),
            scores: Vec::new(),
            measures: None,
            findings: None,
        };
        match (result, work) {
            (StepResult::Scores(scores), StepWork::Scores { group, .. }) => {
                let texts = self.group(group).iter().map(ToString::to_string);
                let scores = texts.zip(scores).map(|(intervention, scores)| StepScores::new(intervention, scores));
                record.scores = scores.collect();
            }
            (StepResult::Windows(measures), _) => record.measures = Some(measures),
            (StepResult::Once(findings), _) => record.findings = Some(findings),
            (StepResult::Scores(_), _) => {}
        }
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

    /// Whether a record holds everything of a step and nothing else.
    fn is_complete(&self, record: &StepRecord, step: usize) -> Result<bool> {
        let StepRecord { scores, measures, findings, .. } = record;
        let work = self.step(step);
        let holds_it = match &work {
            StepWork::Scores { windows, group } => {
                measures.is_none() && findings.is_none() && self.are_complete(scores, windows, *group)?
            }
            StepWork::Windows { windows, .. } => {
                scores.is_empty() && findings.is_none() && measures.as_ref().is_some_and(|it| it.are_of(windows))
            }
            StepWork::Once { .. } => {
                let is_whole = |it: &OnceFindings| it.are_whole(self.no_findings());
                scores.is_empty() && measures.is_none() && findings.as_ref().is_some_and(is_whole)
            }
        };
        Ok(record.step == step && record.windows == work.windows() && holds_it)
    }

    /// Whether these are all scores of a group of interventions on some windows and no other.
    fn are_complete(&self, scores: &[StepScores], windows: &Range<usize>, group: usize) -> Result<bool> {
        let metrics = self.plan().metrics()?;
        let n_positions = self.windows().seq_len() - self.windows().scored_from();
        let texts = self.group(group).iter().map(ToString::to_string);
        let are_complete = |RunScores { all, groups }: RunScores| {
            all.are_of(&metrics, windows, n_positions) && groups.iter().all(|of| of.are_of(&metrics, windows))
        };
        Ok(scores.iter().map(|scored| &scored.intervention).eq(texts.collect::<Vec<_>>().iter())
            && scores.iter().all(|scored| scored.run_scores(self).is_some_and(are_complete)))
    }

    /// Removes partial files of killed processes whose complete files exist.
    pub(crate) fn remove_leftovers(&self) {
        remove_leftovers(self.path());
        [STEPS, PER_TOKEN].iter().for_each(|directory| remove_leftovers(&self.path().join(directory)));
    }
}
