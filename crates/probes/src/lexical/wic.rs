//! Word-in-Context: whether a word means the same in two sentences. [`WicPair`]s from the benchmark's files, and
//! [`WicTokens`] as a model reads them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use stratigraph_core::{ResidualModel, SplitMix64, TokenSpan, TokenWindows};

use crate::{ProbeError, Result};

/// A sentence and where its word is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WicSentence {
    /// The sentence, its words with spaces between.
    pub text: String,
    /// The bytes of the word in it.
    pub word: Range<usize>,
}

/// One word in two sentences (Pilehvar and Camacho-Collados, NAACL 2019).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WicPair {
    /// The word, in its base form; all pairs of a word are one cluster.
    pub word: String,
    /// The sentences.
    pub sentences: [WicSentence; 2],
    /// Whether the word has the same sense in both.
    pub same: bool,
}

impl WicPair {
    /// Reads `PART.data.txt` and `PART.gold.txt` in a directory, as the benchmark has them: `word POS i-j sentence sentence`,
    /// with tabs between, and `T` or `F`.
    ///
    /// # Errors
    /// When a file cannot be read, or a line is not of that form.
    pub fn read(directory: &Path, part: &str) -> Result<Vec<WicPair>> {
        let (data, gold) = (directory.join(format!("{part}.data.txt")), directory.join(format!("{part}.gold.txt")));
        let read = |path: &Path| {
            let text = std::fs::read_to_string(path);
            text.map_err(|error| ProbeError::CannotRead { path: path.to_owned(), reason: error.to_string() })
        };
        let (rows, answers) = (read(&data)?, read(&gold)?);
        let bad =
            |path: &Path, line: usize, reason: String| ProbeError::BadLine { path: path.to_owned(), line, reason };
        let (n, n_answers) = (rows.lines().count(), answers.lines().count());
        if n != n_answers {
            return Err(bad(&gold, n_answers, format!("{n_answers} answers to {n} pairs")));
        }
        if n == 0 {
            return Err(bad(&data, 1, "there is no pair".to_owned()));
        }
        let pair = |(index, (row, answer)): (usize, (&str, &str))| {
            let sentences = sentences(row).map_err(|reason| bad(&data, index + 1, reason))?;
            let word = row.split('\t').next().unwrap_or_default().to_owned();
            let same = match answer.trim_end() {
                "T" => true,
                "F" => false,
                other => return Err(bad(&gold, index + 1, format!("`{other}` is neither T nor F"))),
            };
            Ok(WicPair { word, sentences, same })
        };
        rows.lines().zip(answers.lines()).enumerate().map(pair).collect()
    }
}

fn sentences(row: &str) -> Result<[WicSentence; 2], String> {
    let columns: Vec<&str> = row.trim_end_matches('\r').split('\t').collect();
    let [_, _, indices, first, second] = columns[..] else {
        return Err(format!("{} tab-separated columns instead of 5", columns.len()));
    };
    let (i, j) = indices.split_once('-').ok_or_else(|| format!("`{indices}` is not like 2-5"))?;
    Ok([sentence(first, i)?, sentence(second, j)?])
}

fn sentence(text: &str, index: &str) -> Result<WicSentence, String> {
    let index: usize = index.parse().map_err(|_| format!("`{index}` is not the index of a word"))?;
    let mut start = 0;
    for (place, word) in text.split(' ').enumerate() {
        if place == index && !word.is_empty() {
            return Ok(WicSentence { text: text.to_owned(), word: start..start + word.len() });
        }
        start += word.len() + 1;
    }
    Err(format!("there is no word {index} in `{text}`"))
}

/// A sentence as token ids, and the token its word ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) ids: Vec<u32>,
    pub(crate) at: usize,
}

/// Pairs as a model reads them: the tokens of both sentences, and the last token of the word in each.
#[derive(Debug, Clone, Default)]
pub struct WicTokens {
    pub(crate) pairs: Vec<[Target; 2]>,
    pub(crate) same: Vec<bool>,
    /// The word of each pair, counted from 0 in the order of the pairs.
    pub(crate) words: Vec<usize>,
}

impl WicTokens {
    /// Tokenises pairs; `encode` gives the tokens of a text in order.
    ///
    /// # Errors
    /// When `encode` fails, or a sentence has fewer than two tokens or none for its word.
    pub fn new<E: From<ProbeError>>(
        pairs: &[WicPair],
        mut encode: impl FnMut(&str) -> Result<Vec<TokenSpan>, E>,
    ) -> Result<Self, E> {
        let mut tokens = Self::default();
        let mut words = BTreeMap::<&str, usize>::new();
        for pair in pairs {
            let n_words = words.len();
            tokens.words.push(*words.entry(&pair.word).or_insert(n_words));
            let mut target = |sentence: &WicSentence| -> Result<Target, E> {
                let encoded = encode(&sentence.text)?;
                let in_word = |TokenSpan { bytes, .. }: &TokenSpan| {
                    bytes.start < sentence.word.end && bytes.end > sentence.word.start
                };
                let at = encoded.iter().rposition(in_word);
                let at = at.filter(|_| encoded.len() > 1);
                let at = at.ok_or_else(|| ProbeError::NoTarget { sentence: sentence.text.clone() })?;
                Ok(Target { ids: encoded.into_iter().map(|token| token.id).collect(), at })
            };
            tokens.pairs.push([target(&pair.sentences[0])?, target(&pair.sentences[1])?]);
            tokens.same.push(pair.same);
        }
        Ok(tokens)
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The tokens of all sentences.
    pub fn n_tokens(&self) -> usize {
        self.pairs.iter().flatten().map(|target| target.ids.len()).sum()
    }

    /// Checks that `model` can run every sentence.
    ///
    /// # Errors
    /// When one is longer than the model's context, or has a token outside its vocabulary.
    pub fn check(&self, model: &dyn ResidualModel) -> Result<()> {
        let check = |target: &Target| TokenWindows::new(&target.ids, target.ids.len())?.check(model);
        Ok(self.pairs.iter().flatten().try_for_each(check)?)
    }

    /// The first `n` pairs, or all when there are fewer.
    pub fn take(mut self, n: usize) -> Self {
        self.pairs.truncate(n);
        self.same.truncate(n);
        self.words.truncate(n);
        self
    }

    /// With the answers in a random order: a control, which a probe must not be able to learn.
    pub fn with_shuffled_answers(mut self, seed: u64) -> Self {
        SplitMix64::new(seed).shuffle(&mut self.same);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(data: &str, gold: &str) -> Result<Vec<WicPair>> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("dev.data.txt"), data).unwrap();
        std::fs::write(directory.path().join("dev.gold.txt"), gold).unwrap();
        WicPair::read(directory.path(), "dev")
    }

    #[test]
    fn the_benchmarks_lines_are_read() {
        let pairs = written("carry\tV\t0-2\tCarry it .\tHe had carried on .\n", "F\n").unwrap();
        let [first, second] = &pairs[0].sentences;
        assert_eq!((&first.text[first.word.clone()], &second.text[second.word.clone()]), ("Carry", "carried"));
        assert!(!pairs[0].same && pairs[0].word == "carry");
    }

    #[test]
    fn a_word_that_several_tokens_make_is_read_at_its_last() {
        let pairs = written("carry\tV\t0-2\tCarry it .\tHe had carried on .\n", "T\n").unwrap();
        // Three bytes a token, whatever they are.
        let encode = |text: &str| -> Result<_> {
            let token = |at: usize| TokenSpan::new(at as u32, at..(at + 3).min(text.len()));
            Ok((0..text.len()).step_by(3).map(token).collect())
        };
        let tokens = WicTokens::new(&pairs, encode).unwrap();
        // "Car|ry |it |." and "He| ha|d c|arr|ied| on| ."
        assert_eq!(tokens.pairs[0].each_ref().map(|target| target.at), [1, 4]);
        assert_eq!((tokens.len(), tokens.take(0).is_empty()), (1, true));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_line() {
        let line = "go\tV\t0-1\tGo on .\tThey go .\n";
        let cases = [
            (written("", ""), "line 1: there is no pair"),
            (written(line, ""), "0 answers to 1 pairs"),
            (written(line, "X\n"), "dev.gold.txt, line 1: `X` is neither T nor F"),
            (
                written(&format!("{line}go V 0-1 Go . Go .\n"), "T\nF\n"),
                "dev.data.txt, line 2: 1 tab-separated columns",
            ),
            (written("go\tV\t0-9\tGo on .\tThey go .\n", "T\n"), "there is no word 9 in `They go .`"),
            (written("go\tV\t0\tGo on .\tThey go .\n", "T\n"), "`0` is not like 2-5"),
            (written("go\tV\tx-1\tGo on .\tThey go .\n", "T\n"), "`x` is not the index of a word"),
            (WicPair::read(Path::new("/nowhere"), "dev"), "cannot read /nowhere/dev.data.txt"),
        ];
        for (result, part) in cases {
            let message = result.unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
