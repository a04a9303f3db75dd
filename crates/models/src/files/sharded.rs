//! Several safetensors files behind one index: [`ShardedSafetensors`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{SafetensorsFile, TensorFiles};
use crate::{ModelError, Result};

/// The files that a `model.safetensors.index.json` names, all of them there and holding what it says.
pub(crate) struct ShardedSafetensors {
    shards: Vec<SafetensorsFile>,
    /// Which shard holds a tensor.
    shard_of: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl ShardedSafetensors {
    /// Opens every file that the index at `path` names; they are in its folder.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(ModelError::io(path))?;
        let index: Index = serde_json::from_str(&text).map_err(|e| ModelError::malformed(path, e))?;
        let names: BTreeSet<&String> = index.weight_map.values().collect();
        if names.is_empty() {
            return Err(ModelError::malformed(path, "it names no file"));
        }
        let mut sharded = Self { shards: Vec::new(), shard_of: BTreeMap::new() };
        for name in names {
            if !is_plain(name) {
                return Err(ModelError::malformed(path, format!("`{name}` is not the name of a file beside it")));
            }
            sharded.add(SafetensorsFile::open(&path.with_file_name(name))?, path)?;
        }
        for (tensor, file) in &index.weight_map {
            let found = sharded.shard_of.get(tensor).map(|shard| sharded.shards[*shard].path());
            if found != Some(&path.with_file_name(file)) {
                return Err(ModelError::malformed(path, format!("`{tensor}` is not in {file}, where it should be")));
            }
        }
        Ok(sharded)
    }

    fn add(&mut self, shard: SafetensorsFile, index: &Path) -> Result<()> {
        for name in shard.names() {
            if let Some(other) = self.shard_of.insert(name.clone(), self.shards.len()) {
                let [first, second] = [&self.shards[other], &shard].map(|shard| shard.path().display().to_string());
                return Err(ModelError::malformed(index, format!("`{name}` is in {first} and in {second}")));
            }
        }
        self.shards.push(shard);
        Ok(())
    }
}

/// Whether a name leads nowhere but to a file in the same folder.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(part)), None) if part == name)
}

impl TensorFiles for ShardedSafetensors {
    fn files(&self) -> Vec<PathBuf> {
        self.shards.iter().flat_map(TensorFiles::files).collect()
    }

    fn names(&self) -> Vec<String> {
        self.shard_of.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.shards[*self.shard_of.get(name)?].shape(name)
    }

    fn read(&self, name: &str, elements: Range<usize>) -> Result<Vec<f32>> {
        let shard = self.shard_of.get(name).ok_or_else(|| ModelError::MissingTensor { name: name.to_owned() })?;
        self.shards[*shard].read(name, elements)
    }
}
