//! How a text is cut before byte pairs are merged, by llama.cpp's names for it: [`cut`], [`Cut`].
//!
//! A wrong rule gives wrong ids without an error, so only names are known whose rule is that of the model's own
//! `tokenizer.json`: patterns, in their order, and what normalizes a text before.

use serde_json::{Value, json};

/// Llama 3's pattern, which is that of OpenAI's cl100k too: contractions, words with what precedes them, three digits at a time,
/// punctuation, space.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Qwen 2's: the same, with one digit at a time.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// That of Mistral's Tekken: words also where a capital follows a small letter, and slashes with line ends.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// That of OpenAI's o200k, which gpt-oss has: the same, with contractions at the end of a word and three digits at a time.
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// BLOOM's: words, which end at space and at the punctuation of several scripts.
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";

/// What happens to a text before byte pairs are merged.
pub(super) struct Cut {
    pub(super) normalizer: Value,
    pub(super) pre_tokenizer: Value,
    /// Whether a piece that is a token as a whole is taken before any merge.
    pub(super) whole_first: bool,
}

/// A name, and what it stands for.
type Named = (&'static str, fn() -> Cut);

const CUTS: [Named; 21] = [
    ("gpt-2", gpt2),
    ("phi-2", gpt2),
    ("olmo", || gpt2().composed()),
    ("smollm", single_digits),
    ("starcoder", single_digits),
    ("refact", single_digits),
    ("command-r", || single_digits().composed()),
    ("llama-bpe", || split(LLAMA3).whole_first()),
    ("llama3", || split(LLAMA3).whole_first()),
    ("llama-v3", || split(LLAMA3).whole_first()),
    ("falcon3", || split(LLAMA3).whole_first()),
    ("smaug-bpe", || split(LLAMA3)),
    ("dbrx", || split(LLAMA3)),
    ("glm4", || split(LLAMA3)),
    ("chatglm-bpe", || split(LLAMA3)),
    ("qwen2", || split(QWEN2).composed()),
    ("deepseek-r1-qwen", || split(QWEN2).composed()),
    ("tekken", || split(TEKKEN).whole_first()),
    ("gpt-4o", || split(O200K)),
    ("bloom", || split(BLOOM)),
    ("falcon", falcon),
];

/// How text is cut, by llama.cpp's name for it.
pub(super) fn cut(pre: &str) -> Option<Cut> {
    CUTS.iter().find(|(name, _)| *name == pre).map(|(_, cut)| cut())
}

/// The names that [`cut`] knows.
pub(super) fn known() -> String {
    CUTS.map(|(name, _)| name).join(", ")
}

impl Cut {
    fn new(pre_tokenizer: Value) -> Self {
        Self { normalizer: Value::Null, pre_tokenizer, whole_first: false }
    }

    /// After the composition of characters (NFC).
    fn composed(self) -> Self {
        Self { normalizer: json!({ "type": "NFC" }), ..self }
    }

    fn whole_first(self) -> Self {
        Self { whole_first: true, ..self }
    }

    /// With a space before a text that has none, where GPT-2's pattern cuts.
    pub(super) fn with_prefix_space(mut self) -> Self {
        if self.pre_tokenizer["type"] == "ByteLevel" {
            self.pre_tokenizer["add_prefix_space"] = true.into();
        }
        self
    }
}

/// GPT-2's pattern.
fn gpt2() -> Cut {
    Cut::new(byte_level(true))
}

/// The same after a cut around each digit.
fn single_digits() -> Cut {
    let digits = json!({ "type": "Digits", "individual_digits": true });
    Cut::new(sequence(json!([digits, byte_level(true)])))
}

/// Runs of punctuation, GPT-2's pattern, numbers, and three digits at a time.
fn falcon() -> Cut {
    let punctuation = json!({ "type": "Punctuation", "behavior": "Contiguous" });
    let digits = json!({ "type": "Digits", "individual_digits": false });
    Cut::new(sequence(json!([punctuation, byte_level(true), digits, isolated("[0-9][0-9][0-9]")])))
}

fn split(pattern: &str) -> Cut {
    Cut::new(sequence(json!([isolated(pattern), byte_level(false)])))
}

fn sequence(parts: Value) -> Value {
    json!({ "type": "Sequence", "pretokenizers": parts })
}

/// A cut around each match of a pattern.
fn isolated(pattern: &str) -> Value {
    let pattern = json!({ "Regex": pattern });
    json!({ "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false })
}

/// Bytes as printable characters; with GPT-2's own pattern or after another cut.
pub(super) fn byte_level(use_regex: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Map;

    use super::*;
    use crate::Tokenizer;
    use crate::tokenizer::byte_level::{Pieces, assemble};

    /// With a vocabulary of `a`, `b`, `1` and the space alone, ids depend only on the merges within a piece.
    #[test]
    fn every_name_makes_a_tokenizer_that_the_library_takes() {
        for (name, cut) in CUTS {
            let vocab = ["a", "b", "1", "Ġ", "ab", "11", "Ġa"].iter().zip(0..);
            let vocab: Map<_, _> = vocab.map(|(token, id)| ((*token).to_owned(), Value::from(id))).collect();
            let merges = vec![json!(["a", "b"]), json!(["1", "1"]), json!(["Ġ", "a"])];
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("tokenizer.json");
            fs::write(&path, assemble(cut(), Pieces { vocab, merges, added: Vec::new() }).to_string()).unwrap();
            let ids = Tokenizer::from_file(&path).unwrap().encode("ab11 a").unwrap();
            let single_digits = ["smollm", "starcoder", "refact", "command-r", "qwen2", "deepseek-r1-qwen", "tekken"];
            let digits: &[u32] = if single_digits.contains(&name) { &[2, 2] } else { &[5] };
            assert_eq!(ids, [&[4], digits, &[6]].concat(), "{name}");
        }
    }
}
