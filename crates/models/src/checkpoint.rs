//! From a path or a name to a model: [`Checkpoint`].

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use burn::tensor::Device;
use serde_json::{Map, Value};
use stratigraph_hub::{Download, Hub, HubId};

use crate::decoder::Block;
use crate::directory::read_json_object;
use crate::family::{CheckpointParams, Family, Names, Param, Recipe};
use crate::files::{GgufFile, TensorFiles, from_pattern};
use crate::{Decoder, DecoderConfig, LoadOptions, ModelError, Result, StreamedDecoder, Tokenizer, directory};

/// An opened checkpoint: its configuration has been read and understood, its weights are still on disk.
///
/// Two formats are known: a Hugging Face directory (`config.json`, `tokenizer.json`, and `model.safetensors` or the files
/// that `model.safetensors.index.json` names) and GGUF, one file or the parts of one, which holds all of it.
pub struct Checkpoint {
    path: PathBuf,
    files: Files,
    recipe: Recipe,
    names: Names,
    /// Families that the user has added.
    families: Vec<Family>,
    /// The SHA-256 of its files, when it has been asked for.
    pub(crate) sha256: OnceLock<String>,
}

enum Files {
    HuggingFace(Box<dyn TensorFiles + Send + Sync>),
    Gguf(Box<GgufFile>),
}

impl Files {
    fn tensors(&self) -> &dyn TensorFiles {
        match self {
            Files::HuggingFace(files) => files.as_ref(),
            Files::Gguf(file) => file.as_ref(),
        }
    }
}

impl Checkpoint {
    /// Opens a GGUF file, a Hugging Face directory, or a model of the hub, `organisation/name[@revision]`. A name that
    /// exists as a path is taken as a path. Any part of a split GGUF stands for all of them, and so does a pattern such as
    /// `model-*.gguf`.
    ///
    /// A model of the hub comes out of the local cache, or is downloaded into it when the feature `download` is on.
    ///
    /// # Errors
    /// When there is no such model, a file is damaged, or the configuration is not supported.
    pub fn open(model: impl AsRef<Path>) -> Result<Self> {
        Self::open_with_progress(model, |_| {})
    }

    /// As [`open`](Checkpoint::open); `progress` is called during a download.
    ///
    /// # Errors
    /// As [`open`](Checkpoint::open).
    pub fn open_with_progress(model: impl AsRef<Path>, progress: impl FnMut(Download)) -> Result<Self> {
        Self::open_or_download(model.as_ref(), &[], progress)
    }

    /// As [`open`](Checkpoint::open), with families that this crate does not have, or reads differently.
    ///
    /// # Errors
    /// As [`open`](Checkpoint::open).
    pub fn open_with_families(model: impl AsRef<Path>, families: &[Family]) -> Result<Self> {
        Self::open_or_download(model.as_ref(), families, |_| {})
    }

    fn open_or_download(model: &Path, families: &[Family], progress: impl FnMut(Download)) -> Result<Self> {
        // A link to nothing is a path too: opening it says where it leads.
        if model.symlink_metadata().is_ok() {
            return Self::open_path(model, families);
        }
        match (from_pattern(model), model.to_str()) {
            (Some(file), _) => Self::open_path(&file?, families),
            (None, Some(name)) => Self::open_path(&from_hub(name, progress)?, families),
            (None, None) => Self::open_path(model, families),
        }
    }

    fn open_path(path: &Path, families: &[Family]) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(ModelError::io(path))?;
        let (files, recipe) = if metadata.is_dir() {
            let (files, recipe) = directory::open(path, families)?;
            (Files::HuggingFace(files), recipe)
        } else {
            open_gguf(path)?
        };
        let names = Names::find(files.tensors(), &recipe);
        let (path, families) = (path.to_owned(), families.to_vec());
        Ok(Self { path, files, recipe, names, families, sha256: OnceLock::new() })
    }

    /// Where the checkpoint was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that configuration and weights are read from: those of a GGUF, or `config.json` and the rest.
    pub fn files(&self) -> Vec<PathBuf> {
        match &self.files {
            Files::HuggingFace(files) => std::iter::once(self.path.join("config.json")).chain(files.files()).collect(),
            Files::Gguf(file) => file.files(),
        }
    }

    /// The model's configuration.
    pub fn config(&self) -> &DecoderConfig {
        &self.recipe.config
    }

    /// Configuration keys that were not read, because this crate does not know what they mean.
    pub fn unread_keys(&self) -> &[String] {
        &self.recipe.unread_keys
    }

    /// The checkpoint's tokenizer.
    ///
    /// # Errors
    /// When there is none, or it is of a kind this crate does not know.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        match &self.files {
            Files::HuggingFace(_) => Tokenizer::from_directory(&self.path),
            Files::Gguf(file) => Tokenizer::from_gguf(file),
        }
    }

    /// Loads the weights to `device` as f32, one tensor after the other.
    ///
    /// # Errors
    /// When a tensor is missing, left over, of a wrong shape or type, or holds a value that is not finite.
    pub fn load(&self, device: &Device) -> Result<Decoder> {
        self.load_with(&LoadOptions::default(), device)
    }

    /// As [`load`](Checkpoint::load), with options.
    ///
    /// # Errors
    /// As [`load`](Checkpoint::load); and when the device cannot hold weights in the precision that is asked for, or a weight is
    /// too large for it.
    pub fn load_with(&self, options: &LoadOptions, device: &Device) -> Result<Decoder> {
        let config = self.config();
        self.read(|params| Decoder::build(config, config.n_layers, params, options, device))
    }

    /// A decoder that reads each block from disk when it runs, for a model that is larger than memory. Every value is
    /// read and checked once before.
    ///
    /// # Errors
    /// As [`load`](Checkpoint::load).
    pub fn stream(self, device: &Device) -> Result<StreamedDecoder> {
        self.stream_with(LoadOptions::default(), device)
    }

    /// As [`stream`](Checkpoint::stream), with options.
    ///
    /// # Errors
    /// As [`load_with`](Checkpoint::load_with).
    pub fn stream_with(self, options: LoadOptions, device: &Device) -> Result<StreamedDecoder> {
        StreamedDecoder::new(self, options, device)
    }

    /// The content of `config.json`; none for a GGUF.
    pub(crate) fn hf_config(&self) -> Result<Option<Map<String, Value>>> {
        match &self.files {
            Files::HuggingFace(_) => read_json_object(&self.path.join("config.json")).map(Some),
            Files::Gguf(_) => Ok(None),
        }
    }

    /// The GGUF file; none for a directory.
    pub(crate) fn gguf(&self) -> Option<&GgufFile> {
        match &self.files {
            Files::HuggingFace(_) => None,
            Files::Gguf(file) => Some(file),
        }
    }

    /// Families that the user has added.
    pub(crate) fn families(&self) -> &[Family] {
        &self.families
    }

    /// Checks that every parameter of the model is stored, in the shape that it must have, without reading it.
    pub(crate) fn check_shapes(&self) -> Result<()> {
        let params = self.params();
        self.config().params().iter().try_for_each(|listed| params.check(listed.param, &listed.shape))
    }

    /// What a `config.json` of the same families says.
    pub(crate) fn read_config(&self, json: Map<String, Value>) -> Result<Recipe> {
        Recipe::from_hf(json, &self.families)
    }

    /// The name under which a parameter is stored.
    pub(crate) fn name_of(&self, param: Param) -> String {
        self.params().name_of(param)
    }

    /// Builds a model from the checkpoint; a tensor that the model does not use is an error.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&mut CheckpointParams) -> Result<T>) -> Result<T> {
        let mut params = self.params();
        let model = read(&mut params)?;
        params.finish()?;
        Ok(model)
    }

    /// Reads one block.
    pub(crate) fn read_block(&self, layer: usize, options: &LoadOptions, device: &Device) -> Result<Block> {
        Decoder::build_block(self.config(), layer, &mut self.params(), options, device)
    }

    fn params(&self) -> CheckpointParams<'_> {
        CheckpointParams::new(self.files.tensors(), &self.names, &self.recipe)
    }
}

/// The directory of a model of the hub, in the local cache.
fn from_hub(model: &str, progress: impl FnMut(Download)) -> Result<PathBuf> {
    let fetch = |id: HubId| Hub::from_env()?.get(&id, progress);
    let snapshot = model.parse::<HubId>().and_then(fetch);
    let snapshot = snapshot.map_err(|reason| ModelError::NoSuchModel { model: model.to_owned(), reason })?;
    Ok(snapshot.path().to_owned())
}

fn open_gguf(path: &Path) -> Result<(Files, Recipe)> {
    let file = GgufFile::open(path)?;
    let recipe = Recipe::from_gguf(&file)?;
    Ok((Files::Gguf(Box::new(file)), recipe))
}
