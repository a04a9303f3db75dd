//! The result of a job: [`Merged`].

use std::collections::BTreeSet;

use stratigraph_probes::scores::Scores;
use stratigraph_profile::{ModelRecord, Profile};

use super::measured::OnceFindings;
use super::steps::StepWork;
use super::{Job, JobCorpus, JobModel, JobPlan, Status};
use crate::derived::Measured;
use crate::records::corpus_record;
use crate::run_scores::RunScores;
use crate::study::units;
use crate::{Findings, Result, StudyError, WindowMeasures, unigram};

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
        let mut scores = vec![RunScores::new(self.token_groups()); self.interventions().len()];
        let mut parts = vec![MergedPart::default(); self.plan().parts.len()];
        let (mut missing, mut devices) = (Vec::new(), BTreeSet::new());
        for step in 0..self.n_steps() {
            let records = std::iter::once(self).chain(others).map(|job| job.read_step(step));
            let Some(record) = records.flat_map(Result::transpose).next().transpose()? else {
                missing.push(step);
                continue;
            };
            devices.insert(record.device);
            if let StepWork::Scores { group, .. } = self.step(step) {
                let first = self.groups().take(group).map(<[_]>::len).sum::<usize>();
                for (scored, all) in record.scores.iter().zip(&mut scores[first..]) {
                    all.merge(&scored.run_scores(self).expect("a record that was read is complete"))?;
                }
            }
            if let StepWork::Windows { part, .. } | StepWork::Once { part } = self.step(step) {
                record.measures.iter().try_for_each(|measures| parts[part].windows.merge(measures))?;
                parts[part].once = record.findings;
            }
        }
        if !missing.is_empty() {
            let status = Status { n_steps: self.n_steps(), missing };
            return Err(StudyError::JobUnfinished { path: self.path().to_owned(), status });
        }
        let device = devices.into_iter().collect::<Vec<_>>().join(", ");
        let findings = self.findings(&scores, &parts)?.with_record(device.clone(), Vec::new());
        Ok(Merged { findings, device, scores: scores.into_iter().map(|scores| scores.all).collect() })
    }

    /// Findings from the scores of each distinct intervention and what each part of a measurement found.
    fn findings(&self, scores: &[RunScores], parts: &[MergedPart]) -> Result<Findings> {
        let metrics = self.plan().metrics()?;
        let is_clean = |name: &str| metrics.get(name).is_some_and(|metric| !metric.is_comparison());
        let (mut findings, units) = (self.no_findings(), units(&metrics));
        self.runs().collect(scores, &units, is_clean, &mut findings)?;
        unigram::add(self.windows(), &mut findings)?;
        let windows: Vec<_> = parts.iter().map(|part| part.windows.clone()).collect();
        windows.iter().try_for_each(|measures| measures.add_to(&mut findings))?;
        parts.iter().filter_map(|part| part.once.as_ref()).try_for_each(|once| once.add_to(&mut findings))?;
        let measured = Measured { runs: self.runs(), scores, units: &units, windows: &windows };
        self.plan().derived.iter().try_for_each(|derived| derived.add(&measured, &mut findings))?;
        Ok(findings)
    }

    /// Empty findings.
    pub(super) fn no_findings(&self) -> Findings {
        let JobCorpus { name, special_tokens, .. } = &self.plan().corpus;
        let corpus = corpus_record(self.windows(), name);
        let with_special_tokens = *special_tokens || corpus.special_tokens;
        let (model, corpus) = (model_record(self.plan()), corpus.with_special_tokens(with_special_tokens));
        Findings::new(model, corpus).with_seed(self.plan().seed)
    }
}

/// What a part of a measurement found in all steps.
#[derive(Debug, Clone, Default)]
struct MergedPart {
    windows: WindowMeasures,
    once: Option<OnceFindings>,
}

fn model_record(JobPlan { model, dtype, .. }: &JobPlan) -> ModelRecord {
    let JobModel { name, n_layers, d_model, d_vocab, .. } = model;
    ModelRecord::new(name, *n_layers, *d_model, *d_vocab).with_precision(dtype.name())
}
