//! Heads that put a word together from its tokens: [`merging_heads`] compares windows that [`WordEnds`] finds in a text.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use stratigraph_core::{
    Activation, Hook, HookSet, Observer, ResidualModel, Result as CoreResult, Site, SplitMix64, Tap, TokenWindows,
    observe,
};

use super::Words;
use crate::statistics::{PerSequence, Summary};
use crate::{ProbeError, Result};

/// Windows that end with the end of a word: half with a word of several tokens, half with a word of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordEnds {
    /// Tokens of the words of several tokens.
    pub word_len: usize,
    /// Windows whose last `word_len` tokens are one word.
    pub multi_token: TokenWindows,
    /// Windows whose last token is one word.
    pub single_token: TokenWindows,
}

/// Which windows [`WordEnds::find`] looks for. By default words of four tokens at the end of windows of sixteen, as in the
/// paper, at most 1000 windows of either kind, drawn with seed 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WordEndOptions {
    /// Tokens of the words of several tokens.
    pub word_len: usize,
    /// Tokens of a window, [BOS](Words::with_bos) included.
    pub seq_len: usize,
    /// The most windows of either kind.
    pub at_most: usize,
    /// Decides which windows are drawn.
    pub seed: u64,
}

impl Default for WordEndOptions {
    fn default() -> Self {
        Self { word_len: 4, seq_len: 16, at_most: 1000, seed: 0 }
    }
}

impl WordEndOptions {
    /// With words of `word_len` tokens.
    pub fn with_word_len(self, word_len: usize) -> Self {
        Self { word_len, ..self }
    }

    /// With windows of `seq_len` tokens.
    pub fn with_seq_len(self, seq_len: usize) -> Self {
        Self { seq_len, ..self }
    }

    /// With at most `at_most` windows of each kind.
    pub fn with_at_most(self, at_most: usize) -> Self {
        Self { at_most, ..self }
    }

    /// With another seed.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Refuses settings that no windows fit.
    fn check(&self, words: &Words) -> Result<()> {
        let bad =
            |setting, value, reason: &str| Err(ProbeError::BadSetting { setting, value, reason: reason.to_owned() });
        if self.word_len < 2 {
            return bad("the tokens of a word", self.word_len, "words of several tokens have at least 2");
        }
        if self.seq_len == 0 || words.content(self.seq_len) <= self.word_len {
            return bad(
                "the tokens of a window",
                self.seq_len,
                "a window is longer than BOS and the word it ends with",
            );
        }
        if self.at_most < 2 {
            return bad("the number of windows", self.at_most, "a standard error takes at least 2");
        }
        Ok(())
    }
}

impl WordEnds {
    /// Windows of both kinds, the same number of each.
    ///
    /// # Errors
    /// [`ProbeError::TooFewWords`] when the text has fewer than two of a kind; [`ProbeError::BadSetting`] when a word takes
    /// fewer than two tokens, a window has no room for other tokens, or fewer than two windows are wanted.
    pub fn find(words: &Words, options: WordEndOptions) -> Result<Self> {
        options.check(words)?;
        let WordEndOptions { word_len, seq_len, at_most, seed } = options;
        let mut random = SplitMix64::new(seed);
        let mut ending = |n_tokens: usize| {
            let ends = words.words().iter().filter(|word| word.tokens.len() == n_tokens).map(|word| word.tokens.end);
            let mut starts: Vec<_> = ends.filter_map(|end| end.checked_sub(words.content(seq_len))).collect();
            random.shuffle(&mut starts);
            starts
        };
        let (mut multi, mut single) = (ending(word_len), ending(1));
        let n = multi.len().min(single.len()).min(at_most);
        if n < 2 {
            return Err(ProbeError::TooFewWords {
                kind: format!("of {word_len} tokens"),
                found: multi.len(),
                needed: 2,
            });
        }
        let windows = |starts: &mut Vec<usize>| {
            starts.truncate(n);
            words.windows(seq_len, starts)
        };
        Ok(Self { word_len, multi_token: windows(&mut multi)?, single_token: windows(&mut single)? })
    }
}

/// What a head does at the end of a word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MergingHead {
    /// Its layer.
    pub layer: usize,
    /// Its index in the layer.
    pub head: usize,
    /// The attention from the last token of a word of several tokens to the tokens before it in the word, summed.
    pub in_words: Summary,
    /// The same for as many tokens before the last one, in windows whose last token is a whole word.
    pub elsewhere: Summary,
    /// The attention of each window that ends with a word of several tokens, whose mean is `in_words`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each_in_words: Vec<f64>,
    /// The same of each window whose last token is a whole word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each_elsewhere: Vec<f64>,
    /// The mean attention row of the last token in windows that end with a word of several tokens, `[seq_len]`.
    pub row_in_words: Vec<f64>,
    /// The mean attention row of the last token in windows whose last token is a whole word, `[seq_len]`.
    pub row_elsewhere: Vec<f64>,
}

impl MergingHead {
    /// How much more the head looks at the tokens before the last when they belong to its word; the error is that of a
    /// difference of independent means.
    pub fn difference(&self) -> Summary {
        let sem = self.in_words.sem.zip(self.elsewhere.sem).map(|(a, b)| a.hypot(b));
        Summary { mean: self.in_words.mean - self.elsewhere.mean, sem }
    }
}

/// Compares every head at the ends of both kinds of words, `[layer][head]`, in batches of `batch` windows; `done` is called
/// with the number of windows that have run.
///
/// # Errors
/// When the model has no attention pattern, or cannot run the windows.
pub fn merging_heads(
    model: &dyn ResidualModel,
    ends: &WordEnds,
    batch: usize,
    mut done: impl FnMut(usize),
) -> Result<Vec<Vec<MergingHead>>> {
    let mut look = |windows: &TokenWindows, before: usize| -> Result<LastQueryRows> {
        let mut rows = LastQueryRows { word_len: ends.word_len, windows: 0..0, heads: Vec::new() };
        observe(model, windows, batch, &mut [&mut rows], |n| done(before + n))?;
        Ok(rows)
    };
    let multi = look(&ends.multi_token, 0)?;
    let single = look(&ends.single_token, ends.multi_token.n_sequences())?;
    let head = |(index, (multi, single)): (usize, (&HeadRows, &HeadRows)), layer: usize| MergingHead {
        layer,
        head: index,
        in_words: multi.mass.summary(),
        elsewhere: single.mass.summary(),
        each_in_words: multi.mass.means(),
        each_elsewhere: single.mass.means(),
        row_in_words: multi.mean_row(),
        row_elsewhere: single.mean_row(),
    };
    let layers = multi.heads.iter().zip(&single.heads).enumerate();
    Ok(layers.map(|(layer, (a, b))| a.iter().zip(b).enumerate().map(|pair| head(pair, layer)).collect()).collect())
}

/// Sums the attention rows of last tokens. It reduces them at once, where a sampler would keep each window's.
struct LastQueryRows {
    word_len: usize,
    windows: Range<usize>,
    heads: Vec<Vec<HeadRows>>,
}

#[derive(Default, Clone)]
struct HeadRows {
    /// To the tokens of the word before the last.
    mass: PerSequence,
    sum: Vec<f64>,
    n: usize,
}

impl HeadRows {
    fn push(&mut self, sequence: usize, row: &[f32], word_len: usize) {
        let before_last = &row[row.len() - word_len..row.len() - 1];
        self.mass.push(sequence, before_last.iter().map(|x| f64::from(*x)).sum());
        self.sum.resize(row.len(), 0.0);
        self.sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        self.n += 1;
    }

    fn mean_row(&self) -> Vec<f64> {
        self.sum.iter().map(|sum| sum / self.n as f64).collect()
    }
}

impl Tap for LastQueryRows {
    fn hooks(&self) -> HookSet {
        [Hook::Pattern].into()
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> CoreResult<Activation> {
        let pattern = activation.clone().heads(hook.at(site.slot))?;
        let [_, n_heads, queries, keys] = pattern.dims();
        let last: Vec<f32> = pattern.narrow(2, queries - 1, 1).try_into_vec_as().expect("any float");
        if self.heads.len() <= site.layer {
            self.heads.resize(site.layer + 1, vec![HeadRows::default(); n_heads]);
        }
        for (index, row) in last.chunks(keys).enumerate() {
            let (sequence, head) = (self.windows.start + index / n_heads, index % n_heads);
            self.heads[site.layer][head].push(sequence, row, self.word_len);
        }
        Ok(activation)
    }
}

impl Observer for LastQueryRows {
    fn begin(&mut self, windows: Range<usize>) {
        self.windows = windows;
    }
}
