//! Byte-level BPE out of a GGUF file: [`tokenizer_json`].
//!
//! `tokenizer.ggml.pre` names how text is cut before byte pairs are merged. A wrong rule gives wrong ids without an
//! error, so an unknown name is refused.

use serde_json::{Value, json};

use super::vocabulary::Vocabulary;
use crate::Result;

/// How Llama 3 cuts text: contractions, words with what precedes them, three digits at a time, punctuation, space.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How Qwen 2 does: the same, with one digit at a time.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How Mistral's Tekken does: words also where a capital follows a small letter, and slashes with line ends.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What happens to a text before byte pairs are merged.
struct Cut {
    normalizer: Value,
    pre_tokenizer: Value,
    /// Whether a piece that is a token as a whole is taken before any merge.
    whole_first: bool,
}

pub(super) fn tokenizer_json(vocabulary: &Vocabulary) -> Result<Value> {
    let file = vocabulary.file;
    let merges = file.texts("tokenizer.ggml.merges").ok_or_else(|| vocabulary.lacks("tokenizer.ggml.merges"))?;
    let in_two = |merge: &&str| {
        let parts = merge.split_once(' ').map(|(left, right)| json!([left, right]));
        parts.ok_or_else(|| vocabulary.error(format!("the merge `{merge}` has no two parts")))
    };
    let merges = merges.iter().map(in_two).collect::<Result<Vec<_>>>()?;
    let pre = file.text("tokenizer.ggml.pre").ok_or_else(|| vocabulary.lacks("tokenizer.ggml.pre"))?;
    let cut = cut(pre).ok_or_else(|| {
        let known = "gpt-2, phi-2, olmo, smollm, llama-bpe (also as llama3, llama-v3), qwen2, tekken";
        vocabulary.error(format!("its pre-tokenizer is `{pre}`; known: {known}"))
    })?;
    let text = |id: usize| vocabulary.tokens[id].to_owned();
    Ok(json!({
        "version": "1.0",
        "added_tokens": vocabulary.added_tokens(text),
        "normalizer": cut.normalizer,
        "pre_tokenizer": cut.pre_tokenizer,
        "decoder": byte_level(true),
        "model": { "type": "BPE", "vocab": vocabulary.ids(text)?, "merges": merges, "ignore_merges": cut.whole_first },
    }))
}

fn cut(pre: &str) -> Option<Cut> {
    let plain = |pre_tokenizer| Cut { normalizer: Value::Null, pre_tokenizer, whole_first: false };
    let composed = json!({ "type": "NFC" });
    Some(match pre {
        "gpt-2" | "phi-2" => plain(byte_level(true)),
        "olmo" => Cut { normalizer: composed, ..plain(byte_level(true)) },
        "smollm" => {
            let digits = json!({ "type": "Digits", "individual_digits": true });
            plain(sequence(json!([digits, byte_level(true)])))
        }
        "llama-bpe" | "llama3" | "llama-v3" => Cut { whole_first: true, ..plain(split(LLAMA3)) },
        "tekken" => Cut { whole_first: true, ..plain(split(TEKKEN)) },
        "qwen2" => Cut { normalizer: composed, ..plain(split(QWEN2)) },
        _ => return None,
    })
}

fn sequence(parts: Value) -> Value {
    json!({ "type": "Sequence", "pretokenizers": parts })
}

fn split(pattern: &str) -> Value {
    let pattern = json!({ "Regex": pattern });
    let split = json!({ "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false });
    sequence(json!([split, byte_level(false)]))
}

/// Bytes as printable characters; with GPT-2's own pattern or after another cut.
fn byte_level(use_regex: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex })
}
