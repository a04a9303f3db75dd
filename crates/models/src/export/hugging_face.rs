//! A Hugging Face directory with other layers: [`HuggingFace`].

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::blocks::{Blocks, Copied};
use super::shards::Shards;
use super::{ExportSizes, keys, refused};
use crate::write::{PendingDirectory, put_json};
use crate::{Checkpoint, ModelError, Result};

/// Files of a checkpoint that are copied as they are.
const COPIED_FILES: [&str; 14] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "tekken.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
];

/// The beginnings of the names of licences and similar texts.
const TERMS: [&str; 2] = ["LICENSE", "NOTICE"];

/// What becomes of a directory.
pub(super) struct HuggingFace {
    config: Map<String, Value>,
    shards: Shards,
    copies: Vec<Copied>,
}

impl HuggingFace {
    pub(super) fn new(checkpoint: &Checkpoint, json: Map<String, Value>, blocks: &Blocks) -> Result<Self> {
        let config = keys::with_layer_order(json, checkpoint.config(), blocks.layers);
        let expected = checkpoint.config().with_layer_order(blocks.layers);
        if !checkpoint.read_config(config.clone()).is_ok_and(|read| read.config == expected) {
            let reason = "its config.json cannot say which layers have a window, rotate or are mixtures";
            return Err(refused(checkpoint, reason.to_owned()));
        }
        let is_weights = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "safetensors");
        let weights = checkpoint.files().into_iter().filter(is_weights).collect();
        let shards = Shards::open(weights, checkpoint.path())?;
        let copies = blocks.copies(shards.names());
        Ok(Self { config, shards, copies })
    }

    pub(super) fn sizes(&self) -> Result<ExportSizes> {
        self.shards.sizes(&self.copies)
    }

    pub(super) fn dtypes(&self) -> Vec<String> {
        self.shards.dtypes()
    }

    pub(super) fn write(&self, checkpoint: &Checkpoint, max_bytes: u64, dir: &PendingDirectory) -> Result<()> {
        self.shards.write(&self.copies, max_bytes, dir)?;
        dir.file("config.json", |file| put_json(file, &self.config))?;
        along(checkpoint)?.iter().try_for_each(|name| copy(checkpoint, name, dir))
    }
}

/// The names of the files that go along.
fn along(checkpoint: &Checkpoint) -> Result<Vec<String>> {
    let directory = checkpoint.path();
    let entries = fs::read_dir(directory).map_err(ModelError::io(directory))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let goes_along =
        |name: &String| COPIED_FILES.contains(&name.as_str()) || TERMS.iter().any(|terms| name.starts_with(terms));
    let mut names: Vec<_> = names.filter(|name| goes_along(name) && directory.join(name).is_file()).collect();
    names.sort();
    Ok(names)
}

fn copy(checkpoint: &Checkpoint, name: &str, dir: &PendingDirectory) -> Result<()> {
    let from = checkpoint.path().join(name);
    let mut source = File::open(&from).map_err(ModelError::io(&from))?;
    let mut piece = vec![0; 1 << 20];
    dir.file(name, |file| {
        loop {
            match source.read(&mut piece).map_err(ModelError::io(&from))? {
                0 => return Ok(()),
                n => file.put(&piece[..n])?,
            }
        }
    })
}
