//! The families of checkpoints that can be loaded: [`Recipe`], made by one file a family.
//!
//! A family says how its configuration reads as a [`DecoderConfig`], under which name each parameter is stored, and in
//! which layout. Separate modules have what families share: `keys`, `rope` and `windows` read configurations, `hf` and
//! `gguf` know the usual names, `layout` undoes a storage layout, and `source` fetches parameters.

mod gemma3;
mod gguf;
mod gpt2;
mod hf;
mod keys;
mod layout;
mod llama;
mod mistral;
mod names;
mod neox;
mod phi;
mod qwen;
mod rope;
mod source;
mod windows;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub(crate) use self::gpt2::to_hf as gpt2_to_hf;
pub(crate) use self::keys::Keys;
use self::layout::Layout;
pub(crate) use self::source::CheckpointParams;
use crate::files::GgufFile;
use crate::param::Param;
use crate::{DecoderConfig, ModelError, QkNorm, Result};

/// Where a parameter is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    name: String,
    layout: Layout,
}

/// The shape and the elements of stored tensors, by name.
pub(crate) type StoredTensors<T> = BTreeMap<String, (Vec<usize>, Vec<T>)>;

type Locate = fn(&DecoderConfig, Param) -> Stored;
type Ignorable = fn(&DecoderConfig, &str) -> bool;

/// How one checkpoint becomes a decoder.
pub(crate) struct Recipe {
    pub(crate) config: DecoderConfig,
    /// The prefix of the names that `locate` gives; a checkpoint may omit it from all of them.
    prefix: &'static str,
    /// Where each parameter is stored.
    locate: Locate,
    /// Whether a tensor that no parameter uses is allowed.
    ignorable: Ignorable,
    /// Configuration keys that were not read.
    pub(crate) unread_keys: Vec<String>,
}

const HF_MODEL_TYPES: &[&str] = &["gemma3_text", "gpt2", "gpt_neox", "llama", "mistral", "phi", "qwen2", "qwen3"];
const GGUF_ARCHITECTURES: &[&str] = &["gemma3", "gpt2", "gptneox", "llama", "phi2", "qwen2", "qwen3"];

impl Recipe {
    fn hf(config: DecoderConfig, prefix: &'static str, locate: Locate, ignorable: Ignorable) -> Self {
        Self { config, prefix, locate, ignorable, unread_keys: Vec::new() }
    }

    fn gguf(config: DecoderConfig, locate: Locate) -> Self {
        Self { config, prefix: "", locate, ignorable: gguf::ignorable, unread_keys: Vec::new() }
    }

    /// From the content of a Hugging Face `config.json`.
    pub(crate) fn from_hf(json: Map<String, Value>) -> Result<Self> {
        let mut keys = Keys::new(json);
        let model_type = keys.text("model_type")?;
        keys.only("is_encoder_decoder", false)?;
        let recipe = match model_type.as_str() {
            "gemma3_text" => gemma3::from_hf(&mut keys)?,
            "gpt2" => gpt2::from_hf(&mut keys)?,
            "gpt_neox" => neox::from_hf(&mut keys)?,
            "llama" => llama::from_hf(&mut keys)?,
            "mistral" => mistral::from_hf(&mut keys)?,
            "phi" => phi::from_hf(&mut keys)?,
            "qwen2" => qwen::qwen2_from_hf(&mut keys)?,
            "qwen3" => qwen::qwen3_from_hf(&mut keys)?,
            _ => return Err(unknown(model_type, HF_MODEL_TYPES)),
        };
        recipe.checked(&keys, &keys::HF_WITHOUT_EFFECT, "")
    }

    /// From the metadata of a GGUF file.
    pub(crate) fn from_gguf(file: &GgufFile) -> Result<Self> {
        let missing = || ModelError::MissingKey { key: "general.architecture".into() };
        let architecture = file.text("general.architecture").ok_or_else(missing)?.to_owned();
        let mut keys = Keys::new(file.keys_of(&architecture));
        let recipe = match architecture.as_str() {
            "gemma3" => gemma3::from_gguf(&mut keys, file)?,
            "gpt2" => gpt2::from_gguf(&mut keys, file)?,
            "gptneox" => neox::from_gguf(&mut keys, file)?,
            "llama" => llama::from_gguf(&mut keys, file)?,
            "phi2" => phi::from_gguf(&mut keys, file)?,
            "qwen2" => qwen::from_gguf(&mut keys, file, QkNorm::Absent)?,
            "qwen3" => qwen::from_gguf(&mut keys, file, QkNorm::Present)?,
            _ => return Err(unknown(architecture, GGUF_ARCHITECTURES)),
        };
        recipe.checked(&keys, &keys::GGUF_WITHOUT_EFFECT, &format!("{architecture}."))
    }

    /// Puts a parameter of `shape` into the tensor, by name, that stores it or that it is a part of.
    pub(crate) fn put(&self, param: Param, shape: &[usize], values: &[f32], tensors: &mut StoredTensors<f32>) {
        let Stored { name, layout } = (self.locate)(&self.config, param);
        let stored_shape = layout.stored_shape(shape).expect("the shape of a tensor in memory");
        let len = stored_shape.iter().product();
        let (_, stored) = tensors.entry(name).or_insert_with(|| (stored_shape, vec![0.0; len]));
        layout.put(values, shape, stored);
    }

    /// Refuses a configuration whose numbers do not fit each other or that has an unknown key that matters; records the
    /// other unknown keys.
    fn checked(mut self, keys: &Keys, without_effect: &[&str], prefix: &str) -> Result<Self> {
        keys.refuse_unread_that_matter(without_effect, prefix)?;
        self.unread_keys = keys.unread(without_effect).into_iter().map(|key| format!("{prefix}{key}")).collect();
        self.config.validate()?;
        Ok(self)
    }
}

fn unknown(architecture: String, known: &'static [&'static str]) -> ModelError {
    ModelError::UnknownArchitecture { architecture, known }
}
