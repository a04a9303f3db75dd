//! What a run needs to continue where it stopped: [`Checkpoints`].

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stratigraph_models::Decoder;

use crate::{LossPoint, Result, Texts, TrainError, TrainingConfig};

/// What a checkpoint holds apart from weights and the optimiser's state.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// The settings of the run and the hash of its texts; a run with others may not continue from here.
    settings: Value,
    /// Steps done.
    pub(crate) step: usize,
    pub(crate) curve: Vec<LossPoint>,
}

impl State {
    /// The start of a run.
    pub(crate) fn new(config: &TrainingConfig, texts: &Texts) -> Self {
        let mut settings = serde_json::to_value(config).expect("settings are plain numbers");
        settings["texts"] = Value::from(texts.sha256());
        Self { settings, step: 0, curve: Vec::new() }
    }

    /// Every setting that is not the same in `other`, with the values here and there.
    fn differences(&self, other: &State) -> Vec<String> {
        let empty = serde_json::Map::new();
        let (here, there) = (self.settings.as_object().unwrap_or(&empty), other.settings.as_object().unwrap_or(&empty));
        let names = here.keys().chain(there.keys().filter(|name| !here.contains_key(*name)));
        let differing = names.filter(|name| here.get(*name) != there.get(*name));
        let value =
            |settings: &serde_json::Map<String, Value>, name| settings.get(name).unwrap_or(&Value::Null).clone();
        differing.map(|name| format!("{name} is {} there and {} here", value(there, name), value(here, name))).collect()
    }
}

/// What training changes.
pub(crate) struct Trained {
    pub(crate) model: Decoder,
    pub(crate) optimizer: ModuleOptimizer,
    pub(crate) state: State,
}

/// The newest checkpoint of a run, in a directory of its own.
pub(crate) struct Checkpoints {
    dir: PathBuf,
}

impl Checkpoints {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Writes a checkpoint beside the last one, which is removed only once the new one is complete.
    pub(crate) fn save(&self, trained: &Trained) -> Result<()> {
        let whole = self.dir.join(format!("step-{:07}", trained.state.step));
        let partial = self.dir.join("partial");
        let _ = fs::remove_dir_all(&partial); // of a run that was stopped here
        fs::create_dir_all(&partial).map_err(TrainError::write(&partial))?;
        write(trained, &partial)?;
        replace(&partial, &whole)?;
        for older in self.list()?.into_iter().filter(|path| *path != whole) {
            fs::remove_dir_all(&older).map_err(TrainError::write(&older))?;
        }
        Ok(())
    }

    /// Model, optimiser and state as they were in the newest checkpoint; `start` as it is when there is none.
    pub(crate) fn load(&self, start: Trained) -> Result<Trained> {
        let Some(path) = self.list()?.pop() else { return Ok(start) };
        let text = fs::read(path.join("state.json")).map_err(damaged(&path))?;
        let state: State = serde_json::from_slice(&text).map_err(damaged(&path))?;
        let differences = start.state.differences(&state);
        if !differences.is_empty() {
            return Err(TrainError::OtherSettings { path, differences: differences.join(", ") });
        }
        let record = ModuleRecord::load(path.join("model.bpk")).map_err(damaged(&path))?;
        let optimizer = start.optimizer.load(path.join("optimizer.bpk")).map_err(damaged(&path))?;
        Ok(Trained { model: start.model.load_record(record), optimizer, state })
    }

    fn list(&self) -> Result<Vec<PathBuf>> {
        if !self.dir.exists() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&self.dir).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
        let entries = entries.map_err(TrainError::read(&self.dir))?;
        let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(|path| is_step(path)).collect();
        paths.sort();
        Ok(paths)
    }
}

/// Replaces a directory, if there is one, by a complete one.
pub(crate) fn replace(partial: &Path, whole: &Path) -> Result<()> {
    if whole.exists() {
        fs::remove_dir_all(whole).map_err(TrainError::write(whole))?;
    }
    fs::rename(partial, whole).map_err(TrainError::write(whole))
}

fn write(trained: &Trained, dir: &Path) -> Result<()> {
    let (model, optimizer, state) = (dir.join("model.bpk"), dir.join("optimizer.bpk"), dir.join("state.json"));
    trained.model.clone().into_record().save(&model).map_err(TrainError::write(&model))?;
    trained.optimizer.save(&optimizer).map_err(TrainError::write(&optimizer))?;
    let json = serde_json::to_vec_pretty(&trained.state).expect("a state is plain numbers");
    fs::write(&state, json).map_err(TrainError::write(&state))
}

fn damaged<E: Display>(path: &Path) -> impl FnOnce(E) -> TrainError {
    move |reason| TrainError::DamagedCheckpoint { path: path.to_owned(), reason: reason.to_string() }
}

fn is_step(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-"))
}
