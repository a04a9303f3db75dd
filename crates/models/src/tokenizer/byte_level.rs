//! Byte-level BPE out of a GGUF file: [`tokenizer_json`]; [`assemble`] is for other files too.

use serde_json::{Map, Value, json};
use stratigraph_core::shown;

use super::beside::PUT_ONE_THERE;
use super::cuts::{self, Cut, byte_level, cut};
use super::vocabulary::Vocabulary;
use crate::Result;

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
    let not_known = || {
        let known = cuts::known();
        vocabulary.error(format!("its pre-tokenizer is `{}`; known: {known}; {PUT_ONE_THERE}", shown(pre)))
    };
    let cut = cut(pre).ok_or_else(not_known)?;
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
