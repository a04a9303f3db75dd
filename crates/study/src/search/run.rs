//! A search that continues after it is killed, and that several processes can share: [`SearchRun`].

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use stratigraph_surgery::SurgeryError;
use stratigraph_surgery::search::{Objective, Search, SearchState};

use super::record::Difference;
use super::shards::{SCORES, SharedObjective};
use super::{SearchRecord, SearchSetup};
use crate::job::Shard;
use crate::job::files::{is_partial_of, remove_leftovers, write_new, write_whole};
use crate::{Result, StudyError};

/// A search that is written atomically to `search.json` in a directory after each round, and continues from there. A search that
/// was killed ends with the same result as one that was not.
pub struct SearchRun<'a> {
    setup: SearchSetup,
    directory: Option<PathBuf>,
    shard: Option<Shard>,
    on_round: Box<dyn FnMut(&SearchState) + 'a>,
}

impl<'a> SearchRun<'a> {
    /// The name of the file.
    pub const FILE: &'static str = "search.json";

    /// A search that is not written down.
    pub fn new(setup: SearchSetup) -> Self {
        Self { setup, directory: None, shard: None, on_round: Box::new(|_| ()) }
    }

    /// With its file in a directory, which exists.
    pub fn in_directory(self, directory: &Path) -> Self {
        Self { directory: Some(directory.to_owned()), ..self }
    }

    /// As one of several processes that do the same search in the same directory. Each computes its part of the numbers of a
    /// round's candidates, and reads those of the others from the directory `scores`; it computes them itself if they do not arrive.
    /// All end with the same record, that of a single process with the shard `0/1`.
    pub fn with_shard(self, shard: Shard) -> Self {
        Self { shard: Some(shard), ..self }
    }

    /// With a function that is called after each round.
    pub fn on_round(self, on_round: impl FnMut(&SearchState) + 'a) -> Self {
        Self { on_round: Box::new(on_round), ..self }
    }

    /// Whether a directory holds only what an unfinished search has written, such as a partial file of a killed process.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn is_unfinished(directory: &Path) -> Result<bool> {
        let failed = |reason| StudyError::io(directory, reason);
        let is_own = |name: &OsStr| name == Self::FILE || name == SCORES || is_partial_of(Self::FILE, name);
        for entry in fs::read_dir(directory).map_err(failed)? {
            if !is_own(&entry.map_err(failed)?.file_name()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Searches to the end and validates, from the file where there is one.
    ///
    /// # Errors
    /// When the options are not valid, a shard has no directory, the file is of another search or cannot be read or written, or a
    /// candidate cannot be scored.
    pub fn run<O: Objective<Error = StudyError> + ?Sized>(self, objective: &mut O) -> Result<SearchRecord> {
        match (self.shard, &self.directory) {
            (None, _) => self.run_with(objective),
            (Some(shard), Some(directory)) => {
                let mut shared = SharedObjective::new(objective, shard, directory, &self.setup)?;
                self.run_with(&mut shared)
            }
            (Some(shard), None) => {
                let reason = format!("the shard {shard} has no directory in which it finds the others: give one");
                Err(SurgeryError::BadSearch { reason }.into())
            }
        }
    }

    fn run_with<O: Objective<Error = StudyError> + ?Sized>(mut self, objective: &mut O) -> Result<SearchRecord> {
        let search = Search::new(self.setup.options.clone())?;
        let mut record = match self.read()? {
            Some(record) => record,
            None => {
                let plans = self.setup.compare.iter().chain([&self.setup.from]);
                plans.into_iter().try_for_each(|plan| objective.check(plan))?;
                let state = search.start(&self.setup.from, objective)?;
                let format = SearchRecord::FORMAT;
                self.begin(SearchRecord { format, setup: self.setup.clone(), state, validated: None })?
            }
        };
        while record.state.stop.is_none() {
            search.round(&mut record.state, objective)?;
            self.write(&record)?;
            (self.on_round)(&record.state);
        }
        if record.validated.is_none() {
            record.validated = Some(search.validate(&record.state, &self.setup.compare, objective)?);
            self.write(&record)?;
        }
        let directories = self.directory.iter().flat_map(|it| [it.clone(), it.join(SCORES)]);
        directories.for_each(|it| remove_leftovers(&it));
        Ok(record)
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join(Self::FILE))
    }

    /// The record of a search that began before.
    fn read(&self) -> Result<Option<SearchRecord>> {
        let Some(path) = self.path() else { return Ok(None) };
        if !path.try_exists().map_err(|reason| StudyError::io(&path, reason))? {
            return Ok(None);
        }
        let record = SearchRecord::read(&path)?;
        match self.setup.difference(&record.setup) {
            Some(Difference { what, found, expected }) => Err(StudyError::OtherJob { path, what, found, expected }),
            None => Ok(Some(record)),
        }
    }

    /// Writes the first record, or reads that of another process that was faster.
    fn begin(&self, record: SearchRecord) -> Result<SearchRecord> {
        let Some(path) = self.path() else { return Ok(record) };
        match write_new(&path, &content(&record))? {
            true => Ok(record),
            false => Ok(self.read()?.unwrap_or(record)),
        }
    }

    /// Writes the record, unless another process of the search is further.
    fn write(&self, record: &SearchRecord) -> Result<()> {
        let Some(path) = self.path() else { return Ok(()) };
        match self.read()? {
            Some(other) if progress(&other) > progress(record) => Ok(()),
            _ => write_whole(&path, &content(record)),
        }
    }
}

/// How far a search is. Every process of a search goes through the same records.
fn progress(SearchRecord { state, validated, .. }: &SearchRecord) -> (bool, bool, usize, usize) {
    (validated.is_some(), state.stop.is_some(), state.restart, state.step)
}

fn content(record: &SearchRecord) -> Vec<u8> {
    serde_json::to_vec_pretty(record).expect("it is plain data")
}
