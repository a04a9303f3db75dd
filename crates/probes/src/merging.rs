//! Heads that put a word together from its tokens: [`WordEnds`] finds windows to look at, [`merging_heads`] looks.

use std::ops::Range;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use stratigraph_core::{Hook, ResidualModel, Site, SplitMix64, Tap, TokenWindows};

use crate::{Observer, PerSequence, ProbeError, Result, Summary, Words, observe};

/// Windows that end with the end of a word: some with a word of several tokens, as many with a word of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordEnds {
    /// Tokens of the longer words.
    pub word_len: usize,
    /// Windows whose last `word_len` tokens are one word.
    pub long: TokenWindows,
    /// Windows whose last token is one word.
    pub short: TokenWindows,
}

impl WordEnds {
    /// The paper's words of four tokens at the end of windows of sixteen.
    pub const USUAL: (usize, usize) = (4, 16);

    /// At most `at_most` windows of `seq_len` tokens of either kind, as many of one as of the other, drawn by `seed`.
    ///
    /// # Errors
    /// [`ProbeError::TooFewWords`] when the text has fewer than two of a kind.
    ///
    /// # Panics
    /// When a word takes fewer than two tokens, the window holds none beside it, or fewer than two windows are wanted.
    pub fn find(words: &Words, (word_len, seq_len): (usize, usize), at_most: usize, seed: u64) -> Result<Self> {
        assert!(word_len > 1 && seq_len > word_len && at_most > 1, "words of several tokens in longer windows");
        let mut random = SplitMix64::new(seed);
        let mut ending = |n_tokens: usize| {
            let ends = words.words().iter().filter(|word| word.tokens.len() == n_tokens).map(|word| word.tokens.end);
            let mut starts: Vec<_> = ends.filter_map(|end| end.checked_sub(seq_len)).collect();
            random.shuffle(&mut starts);
            starts
        };
        let (mut long, mut short) = (ending(word_len), ending(1));
        let n = long.len().min(short.len()).min(at_most);
        if n < 2 {
            return Err(ProbeError::TooFewWords {
                kind: format!("of {word_len} tokens"),
                found: long.len(),
                needed: 2,
            });
        }
        let windows = |starts: &mut Vec<usize>| {
            starts.truncate(n);
            TokenWindows::starting_at(words.ids(), seq_len, starts).expect("the windows lie in the text")
        };
        Ok(Self { word_len, long: windows(&mut long), short: windows(&mut short) })
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
    /// The same of as many tokens before the last one where the last token is a word of its own.
    pub elsewhere: Summary,
    /// The mean attention row of the last token in windows that end with a word of several tokens, `[seq_len]`.
    pub row_in_words: Vec<f64>,
    /// The mean attention row where the last token is a word of its own, `[seq_len]`.
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

/// Compares every head at the ends of both kinds of words, `[layer][head]`; `batch` windows are run at once, and `done` hears
/// how many have been.
///
/// # Errors
/// When the model has no attention pattern, or cannot run the windows.
pub fn merging_heads(
    model: &dyn ResidualModel,
    ends: &WordEnds,
    batch: usize,
    mut done: impl FnMut(usize),
) -> Result<Vec<Vec<MergingHead>>> {
    let mut look = |windows: &TokenWindows, before: usize| -> Result<LastRows> {
        let mut rows = LastRows { word_len: ends.word_len, sequences: 0..0, heads: Vec::new() };
        observe(model, windows, batch, &mut [&mut rows], |n| done(before + n))?;
        Ok(rows)
    };
    let long = look(&ends.long, 0)?;
    let short = look(&ends.short, ends.long.n_sequences())?;
    let head = |(index, (long, short)): (usize, (&HeadRows, &HeadRows)), layer: usize| MergingHead {
        layer,
        head: index,
        in_words: long.mass.summary(),
        elsewhere: short.mass.summary(),
        row_in_words: long.mean_row(),
        row_elsewhere: short.mean_row(),
    };
    let layers = long.heads.iter().zip(&short.heads).enumerate();
    Ok(layers.map(|(layer, (a, b))| a.iter().zip(b).enumerate().map(|pair| head(pair, layer)).collect()).collect())
}

/// Collects the attention rows of last tokens.
struct LastRows {
    word_len: usize,
    sequences: Range<usize>,
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

impl Tap for LastRows {
    fn hooks(&self) -> Vec<Hook> {
        vec![Hook::Pattern]
    }

    fn wants(&self, _site: Site, hook: Hook) -> bool {
        hook == Hook::Pattern
    }

    fn visit_pattern(&mut self, site: Site, pattern: Tensor<4>) -> Tensor<4> {
        let [_, n_heads, queries, keys] = pattern.dims();
        let last: Vec<f32> = pattern.clone().narrow(2, queries - 1, 1).try_into_vec_as().expect("any float");
        if self.heads.len() <= site.layer {
            self.heads.resize(site.layer + 1, vec![HeadRows::default(); n_heads]);
        }
        for (index, row) in last.chunks(keys).enumerate() {
            let (sequence, head) = (self.sequences.start + index / n_heads, index % n_heads);
            self.heads[site.layer][head].push(sequence, row, self.word_len);
        }
        pattern
    }
}

impl Observer for LastRows {
    fn begin(&mut self, sequences: Range<usize>) {
        self.sequences = sequences;
    }
}
