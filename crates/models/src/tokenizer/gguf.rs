//! The vocabulary of a GGUF file in the form of a `tokenizer.json`: [`tokenizer_json`].

use serde_json::Value;
use stratigraph_core::shown;

use super::beside::PUT_ONE_THERE;
use super::vocabulary::{Vocabulary, error, lacks};
use super::{byte_level, sentence_piece};
use crate::Result;
use crate::files::GgufFile;

pub(super) fn tokenizer_json(file: &GgufFile) -> Result<Value> {
    let model = file.text("tokenizer.ggml.model").ok_or_else(|| lacks(file, "tokenizer.ggml.model"))?;
    match model {
        "gpt2" => byte_level::tokenizer_json(&Vocabulary::read(file)?),
        "llama" => sentence_piece::tokenizer_json(&Vocabulary::read(file)?),
        other => {
            let known = "known: byte-level BPE (`gpt2`) and SentencePiece's BPE (`llama`)";
            Err(error(file, format!("its model is `{}`; {known}; {PUT_ONE_THERE}", shown(other))))
        }
    }
}
