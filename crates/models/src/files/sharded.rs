//! Several safetensors files, joined by an index or by their names alone: [`ShardedSafetensors`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use stratigraph_core::shown;

use super::{Safetensors, SafetensorsFile, StoredTensor, TensorFiles};
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
    /// Opens every file that the index at `path` names; they are in its folder. Other files there are not read: a model that
    /// was saved again may leave some behind.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(ModelError::io(path))?;
        let index: Index = serde_json::from_str(&text).map_err(|e| ModelError::malformed(path, e))?;
        let names: BTreeSet<&String> = index.weight_map.values().collect();
        if names.is_empty() {
            return Err(ModelError::malformed(path, "it names no file"));
        }
        if let Some(name) = names.iter().find(|name| !is_plain(name)) {
            let reason = format!("`{}` is not the name of a file beside it", shown(name));
            return Err(ModelError::malformed(path, reason));
        }
        refuse_missing(path, &names)?;
        let sharded = Self::of(names.into_iter().map(|name| path.with_file_name(name)), path)?;
        for (tensor, file) in &index.weight_map {
            let found = sharded.shard_of.get(tensor).map(|shard| sharded.shards[*shard].path());
            if found != Some(&path.with_file_name(file)) {
                let (tensor, file) = (shown(tensor), shown(file));
                let reason = format!(
                    "`{tensor}` is not in {file}, where it should be: the index and the files are of different versions of \
                     the model"
                );
                return Err(ModelError::malformed(path, reason));
            }
        }
        Ok(sharded)
    }

    /// Opens the files of a directory that are named as shards, `model-00001-of-00003.safetensors` and so on, where all of them
    /// are there and no others. None where there are none.
    pub(crate) fn without_index(directory: &Path) -> Result<Option<Self>> {
        let entries = fs::read_dir(directory).map_err(ModelError::io(directory))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let names: BTreeSet<String> = names.filter(|name| count_of(name).is_some()).collect();
        let Some(first) = names.first() else { return Ok(None) };
        if names.len() != count_of(first).unwrap_or(0) || names.iter().any(|name| count_of(name) != count_of(first)) {
            let reason = format!(
                "it has {} files like {}, which are not all shards of one model, and no model.safetensors.index.json that \
                 says which belong to it; download the index",
                names.len(),
                shown(first)
            );
            return Err(ModelError::not_a_model(directory, reason));
        }
        Self::of(names.iter().map(|name| directory.join(name)), directory).map(Some)
    }

    /// Opens files; an error about two of them is one of `path`.
    pub(crate) fn of(mut files: impl Iterator<Item = PathBuf>, path: &Path) -> Result<Self> {
        let mut sharded = Self { shards: Vec::new(), shard_of: BTreeMap::new() };
        files.try_for_each(|file| sharded.add(SafetensorsFile::open(&file)?, path))?;
        Ok(sharded)
    }

    /// A tensor as it is stored.
    pub(crate) fn tensor(&self, name: &str) -> Result<StoredTensor<'_>> {
        self.shard(name)?.tensor(name)
    }

    /// The shard that holds a tensor.
    fn shard(&self, name: &str) -> Result<&SafetensorsFile> {
        let shard = self.shard_of.get(name).ok_or_else(|| ModelError::MissingTensor { name: name.to_owned() })?;
        Ok(&self.shards[*shard])
    }

    fn add(&mut self, shard: SafetensorsFile, index: &Path) -> Result<()> {
        for name in shard.names() {
            if let Some(other) = self.shard_of.insert(name.clone(), self.shards.len()) {
                let [first, second] = [&self.shards[other], &shard].map(|shard| shard.path().display().to_string());
                return Err(ModelError::malformed(index, format!("`{}` is in {first} and in {second}", shown(&name))));
            }
        }
        self.shards.push(shard);
        Ok(())
    }
}

/// Refuses an index some of whose files are not there, before any of them is opened.
fn refuse_missing(index: &Path, names: &BTreeSet<&String>) -> Result<()> {
    let is_missing = |name: &&&String| index.with_file_name(name).symlink_metadata().is_err();
    let missing: Vec<_> = names.iter().filter(is_missing).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let (n, all) = (missing.len(), names.len());
    let reason = format!("{n} of the {all} files that it names are not there, such as {}; download them", shown(first));
    Err(ModelError::malformed(index, reason))
}

/// The number of shards in the name of one, `NAME-00002-of-00003.safetensors`.
fn count_of(name: &str) -> Option<usize> {
    let (rest, count) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (_, number) = rest.rsplit_once('-')?;
    let is_number = |digits: &str| digits.len() == 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(number) && is_number(count)).then(|| count.parse().ok()).flatten()
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
        let shard = self.shard(name)?;
        shard.refuse_scaled(name, || self.names())?;
        shard.read_unscaled(name, elements)
    }
}

impl Safetensors for ShardedSafetensors {
    fn read_bytes(&self, name: &str, elements: Range<usize>) -> Result<Vec<u8>> {
        self.shard(name)?.read_bytes(name, elements)
    }
}
