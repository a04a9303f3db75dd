//! Files that tests read: [`fixture`], [`repository`], and the names of the checkpoints, [`FAMILIES`] and [`GGUFS`].

use std::path::PathBuf;

/// The root of the repository, without links.
///
/// # Panics
/// When it has been moved since the tests were built.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the tests were built in it")
}

/// A file or directory of `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    repository().join("tests/fixtures").join(name)
}

/// The checkpoints of all families, with what transformers computes for them.
pub const FAMILIES: [&str; 16] = [
    "gemma3",
    "gemma3-plain",
    "gpt2",
    "gpt2-prefixed",
    "llama-bf16",
    "llama-f16",
    "llama-gqa",
    "llama-untied",
    "mistral",
    "neox-parallel",
    "neox-sequential",
    "phi",
    "phi-gqa",
    "qwen2",
    "qwen2-sliding",
    "qwen3",
];

/// Those that have a GGUF file beside them.
pub const GGUFS: [&str; 9] =
    ["gemma3", "gpt2", "llama-gqa", "llama-untied", "neox-parallel", "neox-sequential", "phi", "qwen2", "qwen3"];
