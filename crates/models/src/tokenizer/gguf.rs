//! The vocabulary of a GGUF file in the form of a `tokenizer.json`: [`tokenizer_json`].
//!
//! `tokenizer.ggml.pre` names how text is cut before byte pairs are merged. Taking one rule for another gives other ids
//! without any sign of it, so an unknown name is an error.

use serde_json::{Value, json};

use crate::checkpoint::GgufFile;
use crate::{ModelError, Result};

/// `tokenizer.ggml.token_type` of tokens that control the model, and of tokens that a user added.
const CONTROL: u32 = 3;
const USER_DEFINED: u32 = 4;

/// How Llama 3 cuts text: contractions, words with what precedes them, three digits at a time, punctuation, space.
const LLAMA3_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How a byte-level tokenizer cuts text.
struct Cut {
    pre_tokenizer: Value,
    /// Whether a piece that is a token as a whole is taken before any merge.
    whole_first: bool,
}

pub(super) fn tokenizer_json(file: &GgufFile) -> Result<Value> {
    let error = |reason: String| ModelError::tokenizer(file.path(), reason);
    let lacks = |key: &str| error(format!("the file lacks `{key}`, or it is of another type"));
    match file.text("tokenizer.ggml.model") {
        Some("gpt2") => {}
        Some(other) => return Err(error(format!("its model is `{other}`, and only byte-level BPE (`gpt2`) is known"))),
        None => return Err(lacks("tokenizer.ggml.model")),
    }
    let tokens = file.texts("tokenizer.ggml.tokens").ok_or_else(|| lacks("tokenizer.ggml.tokens"))?;
    let merges = file.texts("tokenizer.ggml.merges").ok_or_else(|| lacks("tokenizer.ggml.merges"))?;
    let types = file.numbers("tokenizer.ggml.token_type").ok_or_else(|| lacks("tokenizer.ggml.token_type"))?;
    if types.len() != tokens.len() {
        return Err(error(format!("it has {} tokens and {} token types", tokens.len(), types.len())));
    }
    let merges = merges
        .iter()
        .map(|merge| merge.split_once(' ').ok_or_else(|| error(format!("the merge `{merge}` has no two parts"))))
        .collect::<Result<Vec<_>>>()?;
    let pre = file.text("tokenizer.ggml.pre").ok_or_else(|| lacks("tokenizer.ggml.pre"))?;
    let cut = cut(pre).ok_or_else(|| {
        error(format!("its pre-tokenizer is `{pre}`; known: smollm, gpt-2, llama-bpe (also as llama3, llama-v3)"))
    })?;
    let vocab: serde_json::Map<_, _> = tokens.iter().enumerate().map(|(id, t)| (t.to_string(), id.into())).collect();
    if vocab.len() != tokens.len() {
        return Err(error(format!("{} of its tokens stand there twice", tokens.len() - vocab.len())));
    }
    Ok(json!({
        "version": "1.0",
        "added_tokens": added_tokens(&tokens, &types),
        "pre_tokenizer": cut.pre_tokenizer,
        "decoder": byte_level(true),
        "model": { "type": "BPE", "vocab": vocab, "merges": merges, "ignore_merges": cut.whole_first },
    }))
}

fn cut(pre: &str) -> Option<Cut> {
    let sequence = |parts: Value| json!({ "type": "Sequence", "pretokenizers": parts });
    Some(match pre {
        "smollm" => {
            let digits = json!({ "type": "Digits", "individual_digits": true });
            Cut { pre_tokenizer: sequence(json!([digits, byte_level(true)])), whole_first: false }
        }
        "gpt-2" => Cut { pre_tokenizer: byte_level(true), whole_first: false },
        "llama-bpe" | "llama3" | "llama-v3" => {
            let pattern = json!({ "Regex": LLAMA3_PATTERN });
            let split = json!({ "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false });
            Cut { pre_tokenizer: sequence(json!([split, byte_level(false)])), whole_first: true }
        }
        _ => return None,
    })
}

/// Bytes as printable characters; with GPT-2's own pattern or after another cut.
fn byte_level(use_regex: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex })
}

/// Tokens that are found in a text before it is cut.
fn added_tokens(tokens: &[&str], types: &[u32]) -> Vec<Value> {
    let added = tokens.iter().zip(types).enumerate().filter(|(_, (_, kind))| [CONTROL, USER_DEFINED].contains(kind));
    added
        .map(|(id, (content, &kind))| {
            json!({
                "id": id, "content": content, "special": kind == CONTROL, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            })
        })
        .collect()
}
