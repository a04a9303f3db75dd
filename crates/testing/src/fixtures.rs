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
pub const FAMILIES: [&str; 54] = [
    "bloom",
    "cohere",
    "cohere2",
    "cohere2-usual",
    "exaone4",
    "falcon",
    "falcon-alibi",
    "falcon-grouped",
    "falcon-sequential",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3-plain",
    "glm",
    "glm4",
    "gpt-neo",
    "gpt-oss",
    "gpt-oss-mxfp4",
    "gpt2",
    "gpt2-prefixed",
    "gptj",
    "granite",
    "llama-bf16",
    "llama-f16",
    "llama-gqa",
    "llama-untied",
    "llama-yarn",
    "ministral3",
    "mistral",
    "mixtral",
    "nemotron",
    "neox-parallel",
    "neox-sequential",
    "olmo",
    "olmo2",
    "olmo3",
    "olmoe",
    "olmoe-clipped",
    "opt",
    "phi",
    "phi-gqa",
    "phi3",
    "qwen2",
    "qwen2-moe",
    "qwen2-sliding",
    "qwen2-yarn",
    "qwen3",
    "qwen3-moe",
    "qwen3-moe-plain",
    "smollm3",
    "smollm3-usual",
    "stablelm",
    "stablelm-heads",
    "starcoder2",
];

/// Those that have a GGUF file beside them.
pub const GGUFS: [&str; 34] = [
    "bloom",
    "cohere",
    "cohere2-usual",
    "exaone4",
    "falcon",
    "falcon-grouped",
    "gemma",
    "gemma2",
    "gemma3",
    "glm4",
    "gpt-oss",
    "gpt2",
    "granite",
    "llama-gqa",
    "llama-untied",
    "ministral3",
    "mixtral",
    "nemotron",
    "neox-parallel",
    "neox-sequential",
    "olmo",
    "olmo2",
    "olmo3",
    "olmoe",
    "phi",
    "phi3",
    "qwen2",
    "qwen2-moe",
    "qwen3",
    "qwen3-moe-plain",
    "smollm3-usual",
    "stablelm",
    "stablelm-heads",
    "starcoder2",
];
