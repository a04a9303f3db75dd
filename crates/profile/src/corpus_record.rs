//! The corpus that a profile is of: [`CorpusRecord`], with its [`SamplingRecord`].

use serde::{Deserialize, Serialize};

use crate::statistics::WindowErrors;

/// The text that the model was studied on.
///
/// ```
/// use stratigraph_profile::{CorpusRecord, SamplingRecord};
/// let corpus = CorpusRecord::new("articles.jsonl", 3, 128)
///     .with_documents(vec![0, 0, 1])
///     .with_sampling(SamplingRecord::new("random over documents", 7))
///     .with_bos(2)
///     .with_skip_first(1);
/// assert_eq!((corpus.n_documents(), corpus.bos), (2, Some(2)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CorpusRecord {
    /// Its file, its directory, or the files with commas between.
    pub name: String,
    /// How many windows.
    pub n_sequences: usize,
    /// Positions of a window, that of BOS included.
    pub seq_len: usize,
    /// Whether the tokenizer's special tokens were added.
    pub special_tokens: bool,
    /// The document of each window, counted from 0; empty where all are of one text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<usize>,
    /// How the windows were drawn, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingRecord>,
    /// The id of the token at the beginning of each window, where one was put there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bos: Option<u32>,
    /// Positions at the start of each window that are left out of every measure.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip_first: usize,
}

/// How the windows of a corpus were drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SamplingRecord {
    /// In words, such as `first` or `random over documents`.
    pub windows: String,
    /// The seed, on which windows that are drawn at random depend.
    pub seed: u64,
}

impl SamplingRecord {
    /// Windows drawn in this way.
    pub fn new(windows: impl Into<String>, seed: u64) -> Self {
        Self { windows: windows.into(), seed }
    }
}

impl CorpusRecord {
    /// `n_sequences` windows of `seq_len` tokens of one text, without special tokens.
    pub fn new(name: impl Into<String>, n_sequences: usize, seq_len: usize) -> Self {
        let (documents, sampling) = (Vec::new(), None);
        let (special_tokens, bos, skip_first) = (false, None, 0);
        Self { name: name.into(), n_sequences, seq_len, special_tokens, documents, sampling, bos, skip_first }
    }

    /// Sets whether the tokenizer's special tokens were added.
    pub fn with_special_tokens(mut self, special_tokens: bool) -> Self {
        self.special_tokens = special_tokens;
        self
    }

    /// Sets the document of each window.
    pub fn with_documents(mut self, documents: Vec<usize>) -> Self {
        self.documents = documents;
        self
    }

    /// Sets how the windows were drawn.
    pub fn with_sampling(mut self, sampling: SamplingRecord) -> Self {
        self.sampling = Some(sampling);
        self
    }

    /// Sets the token at the beginning of each window, which is a special one.
    pub fn with_bos(mut self, bos: u32) -> Self {
        (self.bos, self.special_tokens) = (Some(bos), true);
        self
    }

    /// Sets how many positions at the start of each window are left out of every measure.
    pub fn with_skip_first(mut self, skip_first: usize) -> Self {
        self.skip_first = skip_first;
        self
    }

    /// How many documents the windows are of.
    pub fn n_documents(&self) -> usize {
        let distinct: std::collections::BTreeSet<_> = self.documents.iter().collect();
        distinct.len().max(1)
    }

    /// How the standard errors of means over its windows are computed, and how a bootstrap draws windows.
    ///
    /// # Panics
    /// When there is not a document for each window; [`Profile::check`](crate::Profile::check) refuses such a record.
    pub fn window_errors(&self) -> WindowErrors {
        WindowErrors::new(self.n_sequences, &self.documents)
    }
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}
