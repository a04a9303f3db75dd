//! A job's directory: [`Job`].
//!
//! `job.json` is the plan and `tokens.bin` the token ids; `groups.bin`, where positions are grouped, the group of each, and
//! `pairs.bin` the pairs of queries and keys that edits hide; `steps/` holds a record of each step that is done, and `tokens/`
//! the values of its tokens where they are asked for. `means.safetensors` holds means over the corpus, and `values/` the
//! tensors of edits, where interventions take them, and `lenses/` the lenses that read sweeps.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use stratigraph_core::{EditData, TokenWindows};
use stratigraph_probes::scores::TokenGroups;
use stratigraph_surgery::Intervention;

use super::files::{is_partial_of, write_whole};
use super::groups::{group_bytes, read_groups};
use super::hash::{hash_bytes, token_bytes};
use super::lenses::{LENSES, write_lenses};
use super::pairs::{pair_bytes, read_pairs};
use super::plan::FORMAT;
use super::values::{VALUES, read_values, write_values};
use super::{JobModel, JobPlan};
use crate::runs::Runs;
use crate::{Result, StudyError};

const PLAN: &str = "job.json";
const TOKENS: &str = "tokens.bin";
const GROUPS: &str = "groups.bin";
const PAIRS: &str = "pairs.bin";
pub(crate) const STEPS: &str = "steps";
pub(crate) const PER_TOKEN: &str = "tokens";

/// A directory with a plan, a corpus, and what has been done so far. It prints as one line about the work.
#[derive(Debug)]
pub struct Job {
    path: PathBuf,
    plan: JobPlan,
    windows: TokenWindows,
    hash: String,
    runs: Runs,
}

impl Job {
    /// Refuses a directory in which no job can be made, before a plan is worked out for it.
    ///
    /// # Errors
    /// When it holds a job, or anything but what is left of a plan that was stopped, or cannot be read.
    pub fn check_new(path: impl AsRef<Path>) -> Result<()> {
        const OWN: [&str; 7] = [TOKENS, GROUPS, PAIRS, STEPS, PER_TOKEN, LENSES, VALUES];
        let path = path.as_ref();
        let has_steps = |steps: PathBuf| fs::read_dir(steps).is_ok_and(|mut steps| steps.next().is_some());
        if path.join(PLAN).exists() || has_steps(path.join(STEPS)) {
            return Err(StudyError::JobExists { path: path.to_owned() });
        }
        if !path.exists() {
            return Ok(());
        }
        for entry in fs::read_dir(path).map_err(|reason| StudyError::io(path, reason))? {
            let name = entry.map_err(|reason| StudyError::io(path, reason))?.file_name();
            let is_unfinished = || OWN.iter().chain([&PLAN]).any(|file| is_partial_of(file, &name));
            if !OWN.iter().any(|own| name == **own) && !is_unfinished() {
                return Err(StudyError::NotAJob { path: path.to_owned(), name: name.to_string_lossy().into_owned() });
            }
        }
        Ok(())
    }

    /// Makes a job in a new directory.
    ///
    /// # Errors
    /// When the directory [holds something](Job::check_new) or cannot be written, or the plan is not valid or is for other windows.
    pub fn create(path: impl AsRef<Path>, plan: JobPlan, windows: TokenWindows) -> Result<Self> {
        let path = path.as_ref();
        plan.check_build()?;
        plan.check_windows(&windows)?;
        let job = Self::new(path, plan, windows)?;
        Self::check_new(path)?;
        job.make_directories()?;
        write_values(path, job.plan.data.values())?;
        write_lenses(path, &job.plan)?;
        write_whole(&path.join(TOKENS), &token_bytes(job.windows.ids()))?;
        if !job.plan.groups.is_empty() {
            let groups = job.plan.groups.iter().flat_map(|groups| group_bytes(groups, &job.windows));
            write_whole(&path.join(GROUPS), &groups.collect::<Vec<_>>())?;
        }
        if !job.plan.pairs.is_empty() {
            let n_windows = job.windows.n_sequences();
            let pairs = job.plan.data.pairs().values().flat_map(|pairs| pair_bytes(pairs, n_windows));
            write_whole(&path.join(PAIRS), &pairs.collect::<Vec<_>>())?;
        }
        write_whole(&path.join(PLAN), &plan_bytes(&job.plan))?; // last, because a directory with a plan is a job
        Ok(job)
    }

    /// Opens a job that was made before.
    ///
    /// # Errors
    /// When there is none, it is in another format, or its plan or its token ids are damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (file, tokens) = (path.join(PLAN), path.join(TOKENS));
        let damaged = |path: &Path, reason: String| StudyError::JobDamaged { path: path.to_owned(), reason };
        let mut plan = read_plan(&file)?;
        plan.data = read_values(path, &plan)?;
        let bytes = fs::read(&tokens).map_err(|reason| StudyError::io(&tokens, reason))?;
        if hash_bytes(&bytes) != plan.corpus.sha256 {
            return Err(damaged(&tokens, "its token ids are not those of the plan".to_owned()));
        }
        let ids: Vec<u32> = bytes.as_chunks().0.iter().map(|id| u32::from_le_bytes(*id)).collect();
        let windows = plan.corpus.windows(&ids).map_err(|error| damaged(&file, error.to_string()))?;
        if windows.n_sequences() != plan.corpus.n_sequences {
            let (n, found) = (plan.corpus.n_sequences, windows.n_sequences());
            return Err(damaged(&file, format!("it has {n} windows, and its token ids make {found}")));
        }
        if !plan.groupings.is_empty() {
            let groups = path.join(GROUPS);
            let bytes = fs::read(&groups).map_err(|reason| StudyError::io(&groups, reason))?;
            plan.groups = read_groups(&plan.groupings, &bytes, &windows).map_err(|reason| damaged(&groups, reason))?;
        }
        if !plan.pairs.is_empty() {
            let pairs = path.join(PAIRS);
            let bytes = fs::read(&pairs).map_err(|reason| StudyError::io(&pairs, reason))?;
            let read = read_pairs(&plan.pairs, &bytes, plan.corpus.n_sequences);
            let read = read.map_err(|reason| damaged(&pairs, reason))?;
            plan.data = read.into_iter().fold(plan.data, EditData::with_pairs);
        }
        Self::new(path, plan, windows).map_err(|error| damaged(&file, error.to_string()))
    }

    fn new(path: &Path, plan: JobPlan, windows: TokenWindows) -> Result<Self> {
        plan.groups.iter().try_for_each(|groups| groups.check(&windows))?;
        let (hash, runs) = (hash_bytes(&plan_bytes(&plan)), plan.runs()?);
        Ok(Self { path: path.to_owned(), plan, windows, hash, runs })
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The plan.
    pub fn plan(&self) -> &JobPlan {
        &self.plan
    }

    /// The corpus.
    pub fn windows(&self) -> &TokenWindows {
        &self.windows
    }

    /// Its distinct interventions; the first is the unchanged model.
    pub fn interventions(&self) -> &[Intervention] {
        self.runs.distinct()
    }

    /// The groups of positions by which everything is measured too.
    pub(crate) fn token_groups(&self) -> &[TokenGroups] {
        &self.plan.groups
    }

    pub(crate) fn runs(&self) -> &Runs {
        &self.runs
    }

    /// The SHA-256 of its plan file.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Interventions in a step, at most.
    fn group_size(&self) -> usize {
        let n = self.interventions().len();
        self.plan.step.interventions.unwrap_or(n).min(n)
    }

    /// Groups of interventions, each of which goes through a step together.
    pub(crate) fn groups(&self) -> impl ExactSizeIterator<Item = &[Intervention]> {
        self.interventions().chunks(self.group_size())
    }

    pub(crate) fn n_groups(&self) -> usize {
        self.groups().len()
    }

    /// The interventions of a group.
    pub(crate) fn group(&self, group: usize) -> &[Intervention] {
        self.groups().nth(group).expect("a step has a group")
    }

    /// Refuses another job.
    pub(crate) fn check_same(&self, other: &Job) -> Result<()> {
        let (ours, theirs) = (&self.plan, &other.plan);
        let named = |name: &str, hash: &str| format!("{name} ({hash})");
        let model = |plan: &JobPlan| named(&plan.model.name, &plan.model.sha256);
        let corpus = |plan: &JobPlan| named(&plan.corpus.name, &plan.corpus.sha256);
        refuse_other(&other.path, "model", model(theirs), model(ours))?;
        refuse_other(&other.path, "corpus", corpus(theirs), corpus(ours))?;
        refuse_other(&other.path, "plan", &other.hash, &self.hash)
    }

    /// Refuses a model whose content is not the planned one's.
    ///
    /// # Errors
    /// [`StudyError::OtherJob`].
    pub fn check_model(&self, sha256: &str) -> Result<()> {
        let JobModel { name, sha256: planned, .. } = &self.plan.model;
        if planned == sha256 {
            return Ok(());
        }
        let (path, expected) = (self.path.clone(), sha256.to_owned());
        Err(StudyError::OtherJob { path, what: "model", found: format!("{name} ({planned})"), expected })
    }

    /// Makes the directories of records: a copy of a job may hold its plan and its token ids alone.
    pub(crate) fn make_directories(&self) -> Result<()> {
        for directory in [STEPS, PER_TOKEN].into_iter().take(1 + usize::from(self.plan.per_token)) {
            let directory = self.path.join(directory);
            fs::create_dir_all(&directory).map_err(|reason| StudyError::io(&directory, reason))?;
        }
        Ok(())
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JobPlan { model, corpus, step, sweeps, interventions, parts, .. } = &self.plan;
        let mut names: Vec<_> = sweeps.iter().map(|sweep| sweep.name.clone()).collect();
        names.extend(parts.iter().map(|part| part.name().to_owned()));
        if !interventions.is_empty() {
            names.push(format!("{} single", interventions.len()));
        }
        let (n, n_windows) = (self.interventions().len(), step.windows.min(corpus.n_sequences));
        write!(f, "{}: {n} interventions ({}) ", model.name, names.join(", "))?;
        write!(f, "on {} windows of {} tokens of {}, ", corpus.n_sequences, corpus.seq_len, corpus.name)?;
        write!(f, "in {} steps of {n_windows} windows and {} interventions", self.n_steps(), self.group_size())
    }
}

/// Refuses what is of another model, corpus or plan.
pub(crate) fn refuse_other(
    path: &Path,
    what: &'static str,
    found: impl Into<String>,
    expected: impl Into<String>,
) -> Result<()> {
    let (found, expected) = (found.into(), expected.into());
    if found == expected { Ok(()) } else { Err(StudyError::OtherJob { path: path.to_owned(), what, found, expected }) }
}

fn plan_bytes(plan: &JobPlan) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(plan).expect("a plan is plain data");
    json.push(b'\n');
    json
}

/// The part of a plan file that every format has.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

fn read_plan(file: &Path) -> Result<JobPlan> {
    let json = fs::read(file).map_err(|reason| StudyError::io(file, reason))?;
    let damaged =
        |reason: serde_json::Error| StudyError::JobDamaged { path: file.to_owned(), reason: reason.to_string() };
    let Format { format } = serde_json::from_slice(&json).map_err(damaged)?;
    if format != FORMAT {
        return Err(StudyError::JobFormat { path: file.to_owned(), found: format, expected: FORMAT });
    }
    serde_json::from_slice(&json).map_err(damaged)
}
