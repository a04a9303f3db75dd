//! SentencePiece's BPE out of a GGUF file: [`tokenizer_json`].
//!
//! SentencePiece merges the pair whose result has the best score; a list of merges in the order of those scores does
//! the same. Text without a token is written in byte tokens. Spaces are written `▁`, and Llama's kind begins a text
//! with one.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::vocabulary::{UNKNOWN, USER_DEFINED, Vocabulary};
use crate::Result;

const SPACE: &str = "▁";

/// How many times longer than the vocabulary its list of merges may be, beside [`MERGES_OF_ANY`] bytes that it may always
/// have: that of Gemma is three times as long.
const MERGES: usize = 64;
const MERGES_OF_ANY: usize = 1 << 20;

pub(super) fn tokenizer_json(vocabulary: &Vocabulary) -> Result<Value> {
    let file = vocabulary.file;
    let scores = file.floats("tokenizer.ggml.scores").ok_or_else(|| vocabulary.lacks("tokenizer.ggml.scores"))?;
    vocabulary.one_each("scores", scores.len())?;
    if let Some(id) = scores.iter().position(|score| score.is_nan()) {
        return Err(vocabulary.error(format!("the score of token {id} is not a number")));
    }
    let prefixed = file.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
    let text = |id: usize| piece(vocabulary, id);
    let merges = Merges::of(vocabulary, &scores)?.in_order(prefixed);
    let unknown = vocabulary.types.iter().position(|kind| *kind == UNKNOWN).map(text);
    let model = json!({
        "type": "BPE", "vocab": vocabulary.ids(text)?, "merges": merges,
        "unk_token": unknown, "fuse_unk": true, "byte_fallback": true,
    });
    let replace = |from: &str, to: &str| json!({ "type": "Replace", "pattern": { "String": from }, "content": to });
    let mut normalizers = vec![replace(" ", SPACE)];
    let mut decoders = vec![replace(SPACE, " "), json!({ "type": "ByteFallback" }), json!({ "type": "Fuse" })];
    if prefixed {
        normalizers.insert(0, json!({ "type": "Prepend", "prepend": SPACE }));
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    Ok(json!({
        "version": "1.0",
        "added_tokens": vocabulary.added_tokens(text),
        "normalizer": { "type": "Sequence", "normalizers": normalizers },
        "decoder": { "type": "Sequence", "decoders": decoders },
        "model": model,
    }))
}

/// A token as SentencePiece writes it; converters write the spaces of user-defined ones plainly.
fn piece(vocabulary: &Vocabulary, id: usize) -> String {
    let token = vocabulary.tokens[id];
    if vocabulary.types[id] == USER_DEFINED { token.replace(' ', SPACE) } else { token.to_owned() }
}

/// Every way in which two pieces make a third.
struct Merges {
    pieces: Vec<String>,
    /// The score of the result, and the ids of the two parts.
    pairs: Vec<(f32, usize, usize)>,
}

impl Merges {
    fn of(vocabulary: &Vocabulary, scores: &[f32]) -> Result<Self> {
        let pieces: Vec<_> = (0..vocabulary.tokens.len()).map(|id| piece(vocabulary, id)).collect();
        let ids: HashMap<&str, usize> = pieces.iter().enumerate().map(|(id, piece)| (piece.as_str(), id)).collect();
        // Both parts are pieces, so that a long piece has few places where it can be cut.
        let lengths: HashSet<usize> = pieces.iter().map(String::len).collect();
        let n_bytes = pieces.iter().map(String::len).sum::<usize>();
        let most = (MERGES * n_bytes).max(MERGES_OF_ANY);
        let (mut pairs, mut size) = (Vec::new(), 0);
        for (id, piece) in pieces.iter().enumerate() {
            // SentencePiece takes a user-defined piece before any other.
            let score = if vocabulary.types[id] == USER_DEFINED { 0.0 } else { scores[id] };
            let cuts = piece.char_indices().skip(1).map(|(at, _)| at);
            let cuts = cuts.filter(|at| lengths.contains(at) && lengths.contains(&(piece.len() - at)));
            let splits = cuts.map(|at| piece.split_at(at));
            let known = splits.filter_map(|(left, right)| Some((score, *ids.get(left)?, *ids.get(right)?)));
            let before = pairs.len();
            pairs.extend(known);
            size += (pairs.len() - before) * piece.len();
            if size > most {
                return Err(vocabulary.error(format!(
                    "its {} tokens of {n_bytes} bytes in all can be merged from each other in more ways than fit {most} \
                     bytes",
                    pieces.len()
                )));
            }
        }
        Ok(Self { pieces, pairs })
    }

    /// From the best score to the worst. Pairs with the same score are ordered as in transformers: by their ids in
    /// Llama's kind, and by the length of their parts, longest first, in the other.
    fn in_order(mut self, by_ids: bool) -> Vec<Value> {
        let length = |id: usize| self.pieces[id].chars().count();
        let lengths: Vec<_> = (0..self.pieces.len()).map(length).collect();
        self.pairs.sort_by(|a, b| {
            let ties = if by_ids {
                (a.1, a.2).cmp(&(b.1, b.2))
            } else {
                (lengths[b.1], lengths[b.2]).cmp(&(lengths[a.1], lengths[a.2]))
            };
            b.0.total_cmp(&a.0).then(ties)
        });
        self.pairs.iter().map(|(_, left, right)| json!([self.pieces[*left], self.pieces[*right]])).collect()
    }
}
