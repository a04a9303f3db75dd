//! Checkpoints, families, tokenizers and training, against Hugging Face transformers and against damage.

mod chats;
mod checkpoints;
mod configurations;
mod conformance;
mod directories;
mod experts;
mod exports;
mod exports_for_python;
mod families;
mod faults;
mod files;
mod gguf;
mod long_rope;
mod mutations;
mod rotary;
mod streamed;
mod support;
mod tiny;
mod tokenizers;
mod training;
