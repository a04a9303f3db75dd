//! Checkpoints with other layers, written as they were read: [`Checkpoint::export`], [`Export`].
//!
//! Tensors are copied byte by byte, under their names, in their layout and type; only the numbers of layers change. So every
//! family that can be read from a Hugging Face directory can be written, and transformers opens what was written.

mod keys;
mod shards;

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use self::shards::{Copied, Shards};
use crate::family::{Kind, Param, Part};
use crate::{Checkpoint, ModelError, Result};

/// Files of a checkpoint that go along as they are.
const COPIED_FILES: [&str; 10] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
];

/// A checkpoint with some of its layers in some order, which can be written.
///
/// ```no_run
/// use stratigraph_models::Checkpoint;
/// let checkpoint = Checkpoint::open("SmolLM2-135M")?;
/// checkpoint.export(&[0, 1, 2, 4, 3])?.write("pruned")?; // refused here if it cannot be written, before any work
/// # Ok::<(), stratigraph_models::ModelError>(())
/// ```
pub struct Export<'a> {
    checkpoint: &'a Checkpoint,
    layers: Vec<usize>,
    config: Map<String, Value>,
    max_shard_bytes: u64,
}

impl Checkpoint {
    /// Whether the checkpoint can be written with these layers in this order.
    ///
    /// # Errors
    /// [`ModelError::CannotExport`] with the reason: it is a GGUF file, a layer does not exist, or its configuration cannot say
    /// this order.
    pub fn can_save(&self, layers: &[usize]) -> Result<()> {
        self.export(layers).map(|_| ())
    }

    /// The checkpoint with these layers in this order; a layer may come more than once.
    ///
    /// # Errors
    /// As [`can_save`](Self::can_save).
    pub fn export(&self, layers: &[usize]) -> Result<Export<'_>> {
        let refused = |reason: String| ModelError::CannotExport { path: self.path().to_owned(), reason };
        let n_layers = self.config().n_layers;
        if let Some(layer) = layers.iter().find(|layer| **layer >= n_layers) {
            return Err(refused(format!("layer {layer} does not exist; there are {n_layers}")));
        }
        if layers.is_empty() {
            return Err(refused("it would have no layers".to_owned()));
        }
        let Some(json) = self.hf_config()? else {
            return Err(refused("a GGUF file has no config.json; export from the Hugging Face directory".to_owned()));
        };
        let expected = self.config().with_layer_order(layers);
        let config = keys::with_layer_order(json, self.config(), layers);
        match self.read_config(config.clone()) {
            Ok(read) if read.config == expected => {
                Ok(Export { checkpoint: self, layers: layers.to_vec(), config, max_shard_bytes: shards::USUAL_BYTES })
            }
            _ => {
                Err(refused("its config.json cannot say which layers have a window, rotate or are mixtures".to_owned()))
            }
        }
    }

    /// The beginning of the names of the tensors of blocks, such as `model.layers`.
    fn block_names(&self) -> Option<String> {
        let query = Param { layer: Some(0), part: Part::Query, kind: Kind::Weight };
        let name = self.name_of(query);
        name.split_once(".0.").map(|(root, _)| root.to_owned())
    }
}

impl Export<'_> {
    /// With files of at most about this many bytes; 5 GB by default.
    pub fn with_max_shard_bytes(self, max_shard_bytes: u64) -> Self {
        Self { max_shard_bytes, ..self }
    }

    /// Writes `config.json`, the weights and the tokenizer's files to the directory `dir`, which is made when it is not there.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn write(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        let files = self.checkpoint.files();
        let weights: Vec<_> =
            files.iter().filter(|file| file.extension().is_some_and(|e| e == "safetensors")).collect();
        let shards = Shards::open(&weights)?;
        let copies = self.copies(&shards);
        fs::create_dir_all(dir).map_err(ModelError::write(dir))?;
        shards.write(&copies, self.max_shard_bytes, dir)?;
        let mut text = serde_json::to_vec_pretty(&self.config).expect("a map of plain values");
        text.push(b'\n');
        fs::write(dir.join("config.json"), text).map_err(ModelError::write(&dir.join("config.json")))?;
        for name in COPIED_FILES {
            let (from, to) = (self.checkpoint.path().join(name), dir.join(name));
            if from.is_file() {
                fs::copy(&from, &to).map_err(ModelError::write(&to))?;
            }
        }
        Ok(())
    }

    /// The tensors to write: those of blocks under the numbers of their new places, the others as they are.
    fn copies(&self, shards: &Shards) -> Vec<Copied> {
        let root = self.checkpoint.block_names().unwrap_or_default();
        let mut copies = Vec::new();
        for name in shards.names() {
            match in_block(&name, &root) {
                None => copies.push(Copied { to: name.clone(), from: name }),
                Some(InBlock { before, layer, rest }) => {
                    let places = self.layers.iter().enumerate().filter(|(_, of)| **of == layer);
                    copies.extend(
                        places.map(|(place, _)| Copied {
                            to: format!("{before}{root}.{place}.{rest}"),
                            from: name.clone(),
                        }),
                    );
                }
            }
        }
        copies
    }
}

/// The parts of the name of a tensor of a block.
struct InBlock<'a> {
    /// What stands in front of the usual name.
    before: &'a str,
    layer: usize,
    rest: &'a str,
}

fn in_block<'a>(name: &'a str, root: &str) -> Option<InBlock<'a>> {
    let start = name.find(&format!("{root}."))?;
    let (before, inside) = name.split_at(start);
    if !(before.is_empty() || before.ends_with('.')) {
        return None;
    }
    let (layer, rest) = inside[root.len() + 1..].split_once('.')?;
    Some(InBlock { before, layer: layer.parse().ok()?, rest })
}
