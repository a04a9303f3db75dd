//! A job's directory: [`Job`], and files that are there whole or not at all.
//!
//! `job.json` is the plan and `tokens.bin` the token ids; `steps/` holds a record of each step that is done, and `tokens/` its
//! tokens' numbers where they are asked for.

use std::collections::BTreeSet;
#[cfg(unix)]
use std::fs::Permissions;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stratigraph_core::TokenWindows;
use stratigraph_probes::scores::Scores;
use stratigraph_surgery::LayerPlan;
use tempfile::Builder;

use super::hash::{hash_bytes, token_bytes};
use super::{JobModel, JobPlan, hash_tokens};
use crate::{Error, Result};

const PLAN: &str = "job.json";
const TOKENS: &str = "tokens.bin";
const STEPS: &str = "steps";
const PER_TOKEN: &str = "tokens";
/// How the names of files end that are being written.
const PARTIAL: &str = ".partial";

/// A directory with a plan, a corpus, and what has been done of it.
#[derive(Debug)]
pub struct Job {
    path: PathBuf,
    plan: JobPlan,
    windows: TokenWindows,
    hash: String,
}

/// Scores of a plan, in a step.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanScores {
    pub(crate) plan: LayerPlan,
    pub(crate) scores: Scores,
}

/// What a step's file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    job: String,
    model: String,
    corpus: String,
    step: usize,
    windows: Range<usize>,
    pub(crate) device: String,
    pub(crate) scores: Vec<PlanScores>,
}

impl Job {
    /// Makes a job in a directory that holds none.
    ///
    /// # Errors
    /// When there is one already, the plan is not one that can be done, or the directory cannot be written.
    ///
    /// # Panics
    /// When the plan is for other windows.
    pub fn create(path: impl AsRef<Path>, plan: JobPlan, windows: TokenWindows) -> Result<Self> {
        let path = path.as_ref();
        plan.check().map_err(|reason| Error::JobImpossible { reason })?;
        plan.check_build()?;
        assert_eq!(plan.corpus.sha256, hash_tokens(&windows), "the plan is for these windows");
        let job = Self::new(path, plan, windows);
        job.make_directories()?;
        let written = fs::read_dir(path.join(STEPS)).map_err(|reason| Error::io(path, reason))?.next().is_some();
        if written || path.join(PLAN).exists() {
            return Err(Error::JobExists { path: path.to_owned() });
        }
        write_whole(&path.join(TOKENS), &token_bytes(job.windows.ids()))?;
        write_whole(&path.join(PLAN), &plan_bytes(&job.plan))?; // the job is there when its plan is
        Ok(job)
    }

    /// Opens a job that was made before.
    ///
    /// # Errors
    /// When there is none, its plan or its token ids are damaged, or are of a format that is not known.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (file, tokens) = (path.join(PLAN), path.join(TOKENS));
        let damaged = |path: &Path, reason: String| Error::JobDamaged { path: path.to_owned(), reason };
        let json = fs::read(&file).map_err(|reason| Error::io(&file, reason))?;
        let plan: JobPlan = serde_json::from_slice(&json).map_err(|reason| damaged(&file, reason.to_string()))?;
        plan.check().map_err(|reason| damaged(&file, reason))?;
        let bytes = fs::read(&tokens).map_err(|reason| Error::io(&tokens, reason))?;
        if hash_bytes(&bytes) != plan.corpus.sha256 {
            return Err(damaged(&tokens, "its token ids are not those that the plan names".to_owned()));
        }
        let ids: Vec<u32> = bytes.as_chunks().0.iter().map(|id| u32::from_le_bytes(*id)).collect();
        let windows = TokenWindows::new(&ids, plan.corpus.seq_len)?;
        if windows.n_sequences() != plan.corpus.n_sequences {
            return Err(damaged(&file, format!("it has {} windows of token ids", windows.n_sequences())));
        }
        Ok(Self::new(path, plan, windows))
    }

    fn new(path: &Path, plan: JobPlan, windows: TokenWindows) -> Self {
        let hash = hash_bytes(&plan_bytes(&plan));
        Self { path: path.to_owned(), plan, windows, hash }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is to be done.
    pub fn plan(&self) -> &JobPlan {
        &self.plan
    }

    /// What it is done on.
    pub fn windows(&self) -> &TokenWindows {
        &self.windows
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

    /// Where a step's record is once it is done.
    fn step_file(&self, step: usize) -> PathBuf {
        self.path.join(STEPS).join(format!("{step:06}.json"))
    }

    /// Whether a step is done: its record is there and holds what it should, and so are its tokens.
    pub(crate) fn is_done(&self, step: usize, groups: &[BTreeSet<LayerPlan>]) -> Result<bool> {
        let tokens = !self.plan.per_token || self.tokens_file(step).exists();
        Ok(tokens && self.read_step(step, groups)?.is_some())
    }

    /// Refuses a model whose content is not the planned one's.
    ///
    /// # Errors
    /// [`Error::OtherJob`].
    pub fn check_model(&self, sha256: &str) -> Result<()> {
        let JobModel { name, sha256: planned, .. } = &self.plan.model;
        if planned == sha256 {
            return Ok(());
        }
        let (path, expected) = (self.path.clone(), sha256.to_owned());
        Err(Error::OtherJob { path, what: "model", found: format!("{name} ({planned})"), expected })
    }

    /// Makes what records are written into: a copy of a job may be its plan and its token ids alone.
    pub(crate) fn make_directories(&self) -> Result<()> {
        for directory in [STEPS, PER_TOKEN].into_iter().take(1 + usize::from(self.plan.per_token)) {
            let directory = self.path.join(directory);
            fs::create_dir_all(&directory).map_err(|reason| Error::io(&directory, reason))?;
        }
        Ok(())
    }

    /// Removes what killed processes left of files that are there whole.
    pub(crate) fn remove_leftovers(&self) {
        for directory in [STEPS, PER_TOKEN].map(|directory| self.path.join(directory)) {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let name = entry.file_name().into_string().unwrap_or_default();
                let of = name.strip_prefix('.').and_then(|name| name.strip_suffix(PARTIAL)?.rsplit_once('.'));
                if of.is_some_and(|(file, _)| directory.join(file).exists()) {
                    let _ = fs::remove_file(entry.path()); // a file too many harms nobody
                }
            }
        }
    }

    fn tokens_file(&self, step: usize) -> PathBuf {
        self.path.join(PER_TOKEN).join(format!("{step:06}.parquet"))
    }

    /// Writes what a step gave.
    pub(crate) fn write_step(
        &self,
        (step, windows): (usize, Range<usize>),
        device: &str,
        scores: Vec<PlanScores>,
    ) -> Result<()> {
        let (model, corpus) = (self.plan.model.sha256.clone(), self.plan.corpus.sha256.clone());
        let record = Record { job: self.hash.clone(), model, corpus, step, windows, device: device.to_owned(), scores };
        let json = serde_json::to_vec(&record).expect("a record is plain data");
        write_whole(&self.step_file(step), &json)
    }

    /// Writes the numbers of a step's tokens.
    #[cfg(feature = "parquet")]
    pub(crate) fn write_tokens(&self, step: usize, table: &[u8]) -> Result<()> {
        write_whole(&self.tokens_file(step), table)
    }

    /// Reads what a step gave, nothing when it is not done. `groups` are those of the plan.
    ///
    /// # Errors
    /// When the record is of another job, or not of this step.
    pub(crate) fn read_step(&self, step: usize, groups: &[BTreeSet<LayerPlan>]) -> Result<Option<Record>> {
        let (windows, group) = self.plan.step(step, groups.len());
        let path = self.step_file(step);
        let json = match fs::read(&path) {
            Ok(json) => json,
            Err(reason) if reason.kind() == ErrorKind::NotFound => return Ok(None),
            Err(reason) => return Err(Error::io(&path, reason)),
        };
        let damaged = |reason: String| Error::JobDamaged { path: path.clone(), reason };
        let record: Record = serde_json::from_slice(&json).map_err(|reason| damaged(reason.to_string()))?;
        let JobPlan { model, corpus, .. } = &self.plan;
        refuse_other(&path, "model", &record.model, &model.sha256)?;
        refuse_other(&path, "corpus", &record.corpus, &corpus.sha256)?;
        refuse_other(&path, "plan", &record.job, &self.hash)?;
        let (metrics, seq_len) = (self.plan.metrics()?, self.plan.corpus.seq_len);
        let whole = |PlanScores { scores, .. }: &PlanScores| scores.are_of(&metrics, &windows, seq_len);
        let right = record.step == step
            && record.windows == windows
            && record.scores.iter().map(|scored| &scored.plan).eq(&groups[group])
            && record.scores.iter().all(whole);
        if right { Ok(Some(record)) } else { Err(damaged("it does not hold what its step gives".to_owned())) }
    }
}

/// Refuses what is of another model, corpus or plan.
fn refuse_other(path: &Path, what: &'static str, found: impl Into<String>, expected: impl Into<String>) -> Result<()> {
    let (found, expected) = (found.into(), expected.into());
    if found == expected { Ok(()) } else { Err(Error::OtherJob { path: path.to_owned(), what, found, expected }) }
}

fn plan_bytes(plan: &JobPlan) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(plan).expect("a plan is plain data");
    json.push(b'\n');
    json
}

/// Writes a file that is there whole or not at all, whenever the process or the machine stops. One that is there is replaced.
fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    let directory = path.parent().expect("a file of a job lies in its directory");
    let mut builder = Builder::new();
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    builder.prefix(&prefix).suffix(PARTIAL);
    #[cfg(unix)]
    builder.permissions(Permissions::from_mode(0o666)); // less what the user masks
    let write = || -> io::Result<()> {
        let mut file = builder.tempfile_in(directory)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    match write() {
        // Another process has written the same and removed ours as a leftover.
        Err(reason) if reason.kind() == ErrorKind::NotFound && path.exists() => {}
        written => written.map_err(|reason| Error::io(path, reason))?,
    }
    // The name is on disk when the directory is; a file system that cannot say so is not to blame for it.
    #[cfg(unix)]
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
    Ok(())
}
