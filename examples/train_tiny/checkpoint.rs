//! What a run needs to go on where it stopped: [`Checkpoints`].

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use serde::{Deserialize, Serialize};
use stratigraph::prelude::Decoder;

/// One line of the loss curve.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Point {
    pub step: usize,
    pub tokens: usize,
    pub learning_rate: f64,
    /// Nats a token, the mean since the last point.
    pub train_loss: f64,
    /// Nats a token.
    pub held_out_loss: f64,
}

/// What a checkpoint knows beside weights and the optimiser's state.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    /// The arguments of the run; another run may not go on from here.
    pub settings: serde_json::Value,
    /// Steps done.
    pub step: usize,
    pub curve: Vec<Point>,
}

/// The newest checkpoint of a run, in a directory of its own.
pub struct Checkpoints {
    dir: PathBuf,
}

impl Checkpoints {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Writes a checkpoint beside the last one, which goes only when the new one is whole.
    pub fn save(&self, model: &Decoder, optimizer: &ModuleOptimizer, state: &State) -> Result<()> {
        let (partial, whole) = (self.dir.join("partial"), self.dir.join(format!("step-{:07}", state.step)));
        let write = || -> Result<()> {
            let _ = fs::remove_dir_all(&partial); // of a run that was stopped here
            fs::create_dir_all(&partial)?;
            model.clone().into_record().save(partial.join("model.bpk"))?;
            optimizer.save(partial.join("optimizer.bpk"))?;
            fs::write(partial.join("state.json"), serde_json::to_vec_pretty(state)?)?;
            fs::rename(&partial, &whole)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", whole.display()))?;
        for older in self.list()?.into_iter().filter(|path| *path != whole) {
            fs::remove_dir_all(older)?;
        }
        Ok(())
    }

    /// The newest checkpoint, when there is one: the state, and model and optimiser as they were.
    pub fn load(
        &self,
        model: Decoder,
        optimizer: ModuleOptimizer,
        settings: &serde_json::Value,
    ) -> Result<(Decoder, ModuleOptimizer, State)> {
        let Some(path) = self.list()?.pop() else {
            return Ok((model, optimizer, State { settings: settings.clone(), step: 0, curve: Vec::new() }));
        };
        let read = || -> Result<_> {
            let state: State = serde_json::from_slice(&fs::read(path.join("state.json"))?)?;
            ensure!(state.settings == *settings, "it is of a run with other settings: {}", state.settings);
            let model = model.load_record(ModuleRecord::load(path.join("model.bpk"))?);
            Ok((model, optimizer.load(path.join("optimizer.bpk"))?, state))
        };
        read().with_context(|| format!("cannot go on from {}", path.display()))
    }

    fn list(&self) -> Result<Vec<PathBuf>> {
        if !self.dir.exists() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&self.dir)?.collect::<std::io::Result<Vec<_>>>()?;
        let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(|path| is_step(path)).collect();
        paths.sort();
        Ok(paths)
    }
}

fn is_step(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-"))
}
