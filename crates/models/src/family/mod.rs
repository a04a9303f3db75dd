//! The families of checkpoints that can be loaded: [`Recipe`], made by one file a family, and [`Family`], which a user's
//! crate can add.
//!
//! A family says how its configuration reads as a [`DecoderConfig`](crate::DecoderConfig), under which name each parameter
//! is stored, and in which layout. Separate modules have what families share: `keys`, `key_classes`, `rope`, `rope_gguf` and
//! `windows` read configurations, `hf` and `gguf` know the usual names, `layout` undoes a storage layout, and `source` fetches
//! parameters.

mod bloom;
mod cohere;
mod exaone4;
mod falcon;
mod gemma;
mod gemma3;
mod gguf;
mod glm;
mod gpt2;
mod gpt_neo;
mod gpt_oss;
mod gptj;
mod granite;
mod hf;
mod key_classes;
mod keys;
mod layout;
mod llama;
mod mistral;
mod mixtral;
mod names;
mod nemotron;
mod neox;
mod olmo;
mod opt;
mod phi;
mod phi3;
mod qwen;
mod qwen_moe;
mod recipe;
mod registry;
mod rope;
mod rope_gguf;
mod smollm3;
mod source;
mod stablelm;
mod starcoder2;
mod windows;

/// A family that a decoder can be written as: its name, and the configuration of a decoder of its shape, a JSON object.
pub(crate) type Written = (&'static str, fn(&crate::DecoderConfig) -> serde_json::Value);

/// The families that a decoder can be written as; of one shape, the first is taken.
pub(crate) const WRITTEN: [Written; 3] = [("gpt2", gpt2::to_hf), ("llama", llama::to_hf), ("gpt_neox", neox::to_hf)];

pub(crate) use self::key_classes::Format;
pub use self::keys::Keys;
pub use self::layout::Layout;
pub(crate) use self::names::Names;
pub(crate) use self::recipe::StoredTensors;
pub use self::recipe::{Recipe, Stored};
pub use self::registry::Family;
pub(crate) use self::source::CheckpointParams;
pub use crate::param::{Kind, Param, Part};
