//! The families of checkpoints that can be loaded: [`Recipe`], made by one file a family.
//!
//! A family says how its configuration reads as a [`DecoderConfig`], under which name each parameter is stored, and in
//! which layout. Everything else is shared.

mod keys;
mod llama;
mod source;

use serde_json::{Map, Value};

pub(crate) use self::keys::Keys;
pub(crate) use self::source::CheckpointParams;
use crate::checkpoint::GgufFile;
use crate::param::Param;
use crate::{DecoderConfig, ModelError, Result};

/// How a stored tensor differs from our layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Not at all.
    Same,
    /// A matrix stored `[d_out, d_in]`.
    OutIn,
    /// As `OutIn` (or a vector), and the rows of each head in rotary pairs: row `2 i + half` holds our `half * d/2 + i`.
    RotaryPairs {
        /// Heads that the rows divide into.
        n_heads: usize,
    },
}

/// Where a parameter is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) layout: Layout,
}

/// How one checkpoint becomes a decoder.
pub(crate) struct Recipe {
    pub(crate) config: DecoderConfig,
    /// Where each parameter is stored.
    pub(crate) locate: fn(&DecoderConfig, Param) -> Stored,
    /// Whether a tensor that no parameter uses may be there all the same.
    pub(crate) ignorable: fn(&DecoderConfig, &str) -> bool,
    /// Configuration keys that nobody read.
    pub(crate) unread_keys: Vec<String>,
}

const HF_MODEL_TYPES: &[&str] = &["llama"];
const GGUF_ARCHITECTURES: &[&str] = &["llama"];

impl Recipe {
    /// From the content of a Hugging Face `config.json`.
    pub(crate) fn from_hf(json: Map<String, Value>) -> Result<Self> {
        let mut keys = Keys::new(json);
        let model_type = keys.text("model_type")?;
        let mut recipe = match model_type.as_str() {
            "llama" => llama::from_hf(&mut keys)?,
            _ => return Err(unknown(model_type, HF_MODEL_TYPES)),
        };
        recipe.unread_keys = keys.unread(&keys::HF_WITHOUT_EFFECT);
        recipe.checked()
    }

    /// From the metadata of a GGUF file.
    pub(crate) fn from_gguf(file: &GgufFile) -> Result<Self> {
        let missing = || ModelError::MissingKey { key: "general.architecture".into() };
        let architecture = file.text("general.architecture").ok_or_else(missing)?.to_owned();
        let mut keys = Keys::new(file.keys_of(&architecture));
        let mut recipe = match architecture.as_str() {
            "llama" => llama::from_gguf(&mut keys, file)?,
            _ => return Err(unknown(architecture, GGUF_ARCHITECTURES)),
        };
        recipe.unread_keys = keys.unread(&[]).into_iter().map(|key| format!("{architecture}.{key}")).collect();
        recipe.checked()
    }

    fn checked(self) -> Result<Self> {
        self.config.validate()?;
        Ok(self)
    }
}

fn unknown(architecture: String, known: &'static [&'static str]) -> ModelError {
    ModelError::UnknownArchitecture { architecture, known }
}
