//! A search that survives being killed: [`SearchRun`].

use std::path::{Path, PathBuf};

use stratigraph_surgery::search::{Objective, Search, SearchState};

use super::record::Difference;
use super::{SearchRecord, SearchSetup};
use crate::job::files::write_whole;
use crate::{Result, StudyError};

/// A search that is written to `search.json` in a directory after each round, whole or not at all, and goes on from there. One that
/// was killed ends with the same result as one that was not.
pub struct SearchRun<'a> {
    setup: SearchSetup,
    path: Option<PathBuf>,
    on_round: Box<dyn FnMut(&SearchState) + 'a>,
}

impl<'a> SearchRun<'a> {
    /// The name of the file.
    pub const FILE: &'static str = "search.json";

    /// A search that is not written down.
    pub fn new(setup: SearchSetup) -> Self {
        Self { setup, path: None, on_round: Box::new(|_| ()) }
    }

    /// With its file in a directory, which exists.
    pub fn in_directory(self, directory: &Path) -> Self {
        Self { path: Some(directory.join(Self::FILE)), ..self }
    }

    /// With a function that is called after each round.
    pub fn on_round(self, on_round: impl FnMut(&SearchState) + 'a) -> Self {
        Self { on_round: Box::new(on_round), ..self }
    }

    /// Searches to the end and validates, from the file where there is one.
    ///
    /// # Errors
    /// When the options make no search, the file is of another one or cannot be read or written, or a candidate cannot be
    /// scored.
    pub fn run<O: Objective<Error = StudyError> + ?Sized>(mut self, objective: &mut O) -> Result<SearchRecord> {
        let search = Search::new(self.setup.options.clone())?;
        let mut record = match self.read()? {
            Some(record) => record,
            None => {
                let state = search.start(&self.setup.from, objective)?;
                SearchRecord { format: SearchRecord::FORMAT, setup: self.setup.clone(), state, validated: None }
            }
        };
        self.write(&record)?;
        while record.state.stop.is_none() {
            search.round(&mut record.state, objective)?;
            self.write(&record)?;
            (self.on_round)(&record.state);
        }
        if record.validated.is_none() {
            record.validated = Some(search.validate(&record.state, &self.setup.compare, objective)?);
            self.write(&record)?;
        }
        Ok(record)
    }

    /// The record of a search that began before.
    fn read(&self) -> Result<Option<SearchRecord>> {
        let Some(path) = &self.path else { return Ok(None) };
        if !path.try_exists().map_err(|reason| StudyError::io(path, reason))? {
            return Ok(None);
        }
        let record = SearchRecord::read(path)?;
        match self.setup.difference(&record.setup) {
            Some(Difference { what, found, expected }) => {
                Err(StudyError::OtherJob { path: path.clone(), what, found, expected })
            }
            None => Ok(Some(record)),
        }
    }

    fn write(&self, record: &SearchRecord) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::to_string_pretty(record).expect("it is plain data");
        write_whole(path, text.as_bytes())
    }
}
