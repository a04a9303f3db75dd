//! Byte-level BPE out of a GGUF file: [`tokenizer_json`]; [`Cut`] and [`assemble`] are for other files too.
//!
//! `tokenizer.ggml.pre` names how text is cut before byte pairs are merged. A wrong rule gives wrong ids without an
//! error, so an unknown name is refused.

use serde_json::{Map, Value, json};
use stratigraph_core::shown;

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
pub(super) struct Cut {
    normalizer: Value,
    pre_tokenizer: Value,
    /// Whether a piece that is a token as a whole is taken before any merge.
    whole_first: bool,
}

/// The tokens and merges of a byte-level BPE, in the form of a `tokenizer.json`.
pub(super) struct Pieces {
    /// Ids by token.
    pub(super) vocab: Map<String, Value>,
    /// Pairs of tokens, the first to be merged first.
    pub(super) merges: Vec<Value>,
    /// Tokens that are found in a text before it is cut.
    pub(super) added: Vec<Value>,
}

pub(super) fn tokenizer_json(vocabulary: &Vocabulary) -> Result<Value> {
    let file = vocabulary.file;
    let merges = file.texts("tokenizer.ggml.merges").ok_or_else(|| vocabulary.lacks("tokenizer.ggml.merges"))?;
    let in_two = |merge: &&str| {
        two_parts(merge).ok_or_else(|| vocabulary.error(format!("the merge `{}` has no two parts", shown(merge))))
    };
    let merges = merges.iter().map(in_two).collect::<Result<Vec<_>>>()?;
    let pre = file.text("tokenizer.ggml.pre").ok_or_else(|| vocabulary.lacks("tokenizer.ggml.pre"))?;
    let cut = cut(pre).ok_or_else(|| {
        let known = "gpt-2, phi-2, olmo, smollm, llama-bpe (also as llama3, llama-v3), qwen2, tekken";
        vocabulary.error(format!("its pre-tokenizer is `{}`; known: {known}", shown(pre)))
    })?;
    let text = |id: usize| vocabulary.tokens[id].to_owned();
    let pieces = Pieces { vocab: vocabulary.ids(text)?, merges, added: vocabulary.added_tokens(text) };
    Ok(assemble(cut, pieces))
}

/// A merge as a pair, from a text with a space between.
pub(super) fn two_parts(merge: &str) -> Option<Value> {
    merge.split_once(' ').map(|(left, right)| json!([left, right]))
}

/// A `tokenizer.json`.
pub(super) fn assemble(cut: Cut, Pieces { vocab, merges, added }: Pieces) -> Value {
    json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": cut.normalizer,
        "pre_tokenizer": cut.pre_tokenizer,
        "decoder": byte_level(true),
        "model": { "type": "BPE", "vocab": vocab, "merges": merges, "ignore_merges": cut.whole_first },
    })
}

impl Cut {
    /// With a space before a text that has none, where GPT-2's pattern cuts.
    pub(super) fn with_prefix_space(mut self) -> Self {
        if self.pre_tokenizer["type"] == "ByteLevel" {
            self.pre_tokenizer["add_prefix_space"] = true.into();
        }
        self
    }
}

/// How text is cut, by llama.cpp's name for it.
pub(super) fn cut(pre: &str) -> Option<Cut> {
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
