//! What a lens was fitted on, [`LensRecord`], and the JSON in the header of its file, [`Header`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::LensKind;

/// What a lens was fitted on, and how.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LensRecord {
    /// The name of the model.
    pub model: String,
    /// The SHA-256 of the model's content, where it is known.
    pub model_sha256: Option<String>,
    /// The name of the corpus.
    pub corpus: String,
    /// The SHA-256 of the token ids of all windows, each as four bytes, the lowest first, where it is known.
    pub corpus_sha256: Option<String>,
    /// Windows that it was fitted on.
    pub n_sequences: usize,
    /// Tokens of a window.
    pub seq_len: usize,
    /// Numbers of the fit, by name: `ridge` and `held_out_error` of an affine lens, one for each residual position.
    pub fit: BTreeMap<String, Vec<f64>>,
}

impl LensRecord {
    /// The record of a fit on `n_sequences` windows of `seq_len` tokens.
    pub fn of_windows(n_sequences: usize, seq_len: usize) -> Self {
        Self { n_sequences, seq_len, ..Self::default() }
    }

    /// With the name of the model and the SHA-256 of its content.
    pub fn with_model(self, name: impl Into<String>, sha256: impl Into<String>) -> Self {
        Self { model: name.into(), model_sha256: Some(sha256.into()), ..self }
    }

    /// With the name of the corpus and the SHA-256 of its token ids.
    pub fn with_corpus(self, name: impl Into<String>, sha256: impl Into<String>) -> Self {
        Self { corpus: name.into(), corpus_sha256: Some(sha256.into()), ..self }
    }

    /// What is known of it, in words.
    pub(super) fn origin(&self) -> Option<String> {
        let named = |what: &str, name: &str, sha256: &Option<String>| {
            let sha256 = sha256.as_ref().map(|sha256| format!(" (SHA-256 {sha256})")).unwrap_or_default();
            (!name.is_empty()).then(|| format!("{what} {name}{sha256}"))
        };
        let windows = match (self.n_sequences, self.seq_len) {
            (0, _) => None,
            (n, 0) => Some(format!("on {n} prompts")),
            (n, seq_len) => Some(format!("on {n} windows of {seq_len} tokens")),
        };
        let corpus = named("of", &self.corpus, &self.corpus_sha256);
        let model = named("to", &self.model, &self.model_sha256);
        let known: Vec<_> = [model, windows, corpus].into_iter().flatten().collect();
        (!known.is_empty()).then(|| format!("fitted {}", known.join(" ")))
    }

    /// With numbers of the fit.
    pub fn with_fit(mut self, name: impl Into<String>, numbers: impl IntoIterator<Item = f64>) -> Self {
        self.fit.insert(name.into(), numbers.into_iter().collect());
        self
    }
}

/// The format that this version writes and reads.
pub(super) const FORMAT: u64 = 1;

/// The key of the header's metadata that holds the JSON.
pub(super) const KEY: &str = "stratigraph_lens";

/// The JSON in the header of a lens's safetensors file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u64,
    pub(super) kind: LensKind,
    pub(super) n_layers: usize,
    pub(super) record: LensRecord,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_says_what_is_known() {
        assert_eq!(LensRecord::default().origin(), None);
        let record = LensRecord::of_windows(64, 128).with_model("tiny", "ab").with_corpus("text.txt", "cd");
        let expected = "fitted to tiny (SHA-256 ab) on 64 windows of 128 tokens of text.txt (SHA-256 cd)";
        assert_eq!(record.origin().unwrap(), expected);
        assert_eq!(LensRecord { n_sequences: 3, ..LensRecord::default() }.origin().unwrap(), "fitted on 3 prompts");
    }
}
