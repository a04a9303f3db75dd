//! Tokenizers and texts that the tests share.

use std::io::Read;
use std::path::PathBuf;

use stratigraph_core::TokenSpan;
use stratigraph_corpus::{BosToken, TextEncoder};
use stratigraph_models::Tokenizer;

pub const KINDS: [&str; 9] =
    ["gemma-spm", "gpt-2", "llama-bpe", "llama-spm", "olmo", "phi-2", "qwen2", "smollm", "tekken"];

pub fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tokenizers")
}

pub fn tokenizer(kind: &str) -> Tokenizer {
    Tokenizer::from_file(fixtures().join(kind).join("tokenizer.json")).unwrap()
}

/// A token for each byte; token 256 begins a text.
pub struct Bytes;

impl TextEncoder for Bytes {
    fn encode_spans(&self, text: &str) -> Result<Vec<TokenSpan>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(text.bytes().enumerate().map(|(at, byte)| TokenSpan::new(byte.into(), at..at + 1)).collect())
    }

    fn bos(&self) -> BosToken {
        BosToken::new(Some(256), true)
    }
}

/// All texts of the fixtures, again and again, then runs of one kind of character that no tokenizer cuts early.
pub fn text(n_bytes: usize) -> String {
    let texts = std::fs::read(fixtures().join("texts.json")).unwrap();
    let texts: Vec<String> = serde_json::from_slice(&texts).unwrap();
    let mut text = String::new();
    for (index, part) in texts.iter().cycle().enumerate() {
        if text.len() > n_bytes {
            break;
        }
        text.push_str(part);
        text.push_str(["\n", " ", "", "\n\n  "][index % 4]);
    }
    text + &"a".repeat(3000) + &" ".repeat(3000) + &"日本".repeat(800) + "\r\n end"
}

/// Counts what is read of a text without an end.
pub struct Endless(pub usize);

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        into.iter_mut().enumerate().for_each(|(at, byte)| *byte = b"one two three. "[(self.0 + at) % 15]);
        self.0 += into.len();
        Ok(into.len())
    }
}
