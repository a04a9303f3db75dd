//! The cache as `huggingface_hub` lays it out: [`Snapshot`].
//!
//! `models--ORG--NAME/refs/REVISION` holds a commit, and `snapshots/COMMIT/FILE` links to `blobs/ETAG`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::{HubError, HubId, Result};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// Optional, needed only to encode text: a tokenizer, what it says of its special tokens, and the older form of a tokenizer,
/// which is needed where there is no other.
#[cfg(feature = "download")]
pub(crate) const TOKENIZER_FILES: [&str; 5] =
    ["tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "added_tokens.json"];
/// Optional, needed only to generate: the tokens that end a text, the template of chats, and roles of special tokens.
#[cfg(feature = "download")]
pub(crate) const GENERATION_FILES: [&str; 4] =
    ["generation_config.json", "chat_template.jinja", "chat_template.json", "special_tokens_map.json"];
/// What `peft` writes in place of a model or beside it, and where it puts what a tuned model differs by.
const ADAPTER: &str = "adapter_config.json";
const ADAPTER_WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];
/// What an adapter lacks, and a model with an adapter beside it.
const NO_MODEL: &str =
    "model of its own: it is an adapter (adapter_config.json), which peft merges into its base model";
const NO_MODEL_ALONE: &str =
    "model without an adapter (adapter_config.json), which transformers would add to it: download both, and merge them";

/// A directory that holds every file a model needs, at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    path: PathBuf,
    commit: String,
}

/// What the cache has of a model.
pub(crate) enum Found {
    Whole(Snapshot),
    /// Some of it is missing: what, in words.
    Lacking(String),
}

impl Snapshot {
    /// The directory: a Hugging Face checkpoint like any other.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The commit of the revision.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// Looks a model up in a cache.
    pub(crate) fn find(cache: &Path, id: &HubId) -> Found {
        let folder = cache.join(id.folder());
        if !folder.is_dir() {
            return Found::Lacking("nothing of this model is there".into());
        }
        let commit = match fs::read_to_string(folder.join("refs").join(id.revision())) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => id.revision().to_owned(), // perhaps a commit itself
        };
        let snapshot = Self::at(&folder, &commit);
        if commit.is_empty() || commit.contains(['/', '\\', '.']) || !snapshot.path.is_dir() {
            return Found::Lacking(format!("it has no revision `{}`", id.revision()));
        }
        match snapshot.lacks() {
            None => Found::Whole(snapshot),
            Some(missing) => Found::Lacking(format!("it has no {missing}")),
        }
    }

    pub(crate) fn at(folder: &Path, commit: &str) -> Self {
        Self { path: folder.join("snapshots").join(commit), commit: commit.to_owned() }
    }

    /// Whether it has a tokenizer, in either form.
    pub(crate) fn has_tokenizer(&self) -> bool {
        ["tokenizer.json", "vocab.json"].into_iter().any(|name| self.path.join(name).is_file())
    }

    /// The first file that is needed and not there; a link to nothing is not there.
    fn lacks(&self) -> Option<String> {
        let has = |name: &str| self.path.join(name).is_file();
        if let Some(missing) = lacks_by_adapter(has) {
            return Some(missing.into());
        }
        if !has(CONFIG) {
            return Some(CONFIG.into());
        }
        if has(WEIGHTS) {
            return None;
        }
        if !has(INDEX) {
            return Some(format!("{WEIGHTS} or {INDEX}"));
        }
        match shards(&self.path.join(INDEX)) {
            Ok(shards) => shards.into_iter().find(|shard| !has(shard)),
            Err(_) => Some(format!("readable {INDEX}")),
        }
    }
}

/// What is missing because of an adapter among the files.
pub(crate) fn lacks_by_adapter(has: impl Fn(&str) -> bool) -> Option<&'static str> {
    let has_weights = has(WEIGHTS) || has(INDEX);
    match has(ADAPTER) {
        true if !has_weights => Some(NO_MODEL),
        true if ADAPTER_WEIGHTS.into_iter().any(has) => Some(NO_MODEL_ALONE),
        _ => None,
    }
}

/// The files that an index names, all of which are in its folder.
pub(crate) fn shards(index: &Path) -> Result<BTreeSet<String>> {
    let bad = |reason: String| HubError::BadIndex { file: index.display().to_string(), reason };
    let text = fs::read(index).map_err(|e| bad(e.to_string()))?;
    let json: Value = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
    let map = json["weight_map"].as_object().ok_or_else(|| bad("it has no `weight_map`".into()))?;
    let files: Option<BTreeSet<_>> = map.values().map(|file| file.as_str().map(str::to_owned)).collect();
    let files = files.ok_or_else(|| bad("its `weight_map` is not one of texts".into()))?;
    match files.iter().find(|file| !is_plain(file)) {
        Some(file) => Err(bad(format!("`{file}` is not the name of a safetensors file beside it"))),
        None if files.is_empty() => Err(bad("it names no file".into())),
        None => Ok(files),
    }
}

/// Whether a name is that of a safetensors file in the same folder, and not a path.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let one = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
    one && name.ends_with(".safetensors") && !name.contains('\\')
}
