//! Pairs of tokens within words, and the same number at the same distances across words: [`WordPairs`].

use std::collections::BTreeMap;
use std::ops::Range;

use stratigraph_core::{AttentionPair, PairMask, SplitMix64};

use super::WindowWords;
use crate::{ProbeError, Result};

/// Pairs of a query and a key of one word, and the same number of pairs of two words, at the same distances and in the same
/// windows.
///
/// Pairs with the key at position 0 are left out: that position is the attention sink of most models.
///
/// ```
/// # use stratigraph_core::TokenWindows;
/// # use stratigraph_probes::lexical::{WindowWords, WordPairs};
/// let texts = ["The", " un", "like", "ly", " end", " of", " it"].map(String::from);
/// let windows = TokenWindows::new(&[0, 1, 2, 3, 4, 5, 6], 7)?;
/// let pairs = WordPairs::draw(&WindowWords::new(&windows, &texts), 0)?;
/// // "unlikely" has two pairs of neighbours and one at distance 2.
/// assert_eq!((pairs.within.n_pairs(), pairs.across.n_pairs()), (3, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordPairs {
    /// The key is an earlier token of the query's word.
    pub within: PairMask,
    /// The key is of an earlier word.
    pub across: PairMask,
}

impl WordPairs {
    /// For each window and distance, the same number of pairs within words and across words. The kind that has more pairs is
    /// sampled at random by `seed`.
    ///
    /// # Errors
    /// [`ProbeError::TooFewWords`] when there is no pair.
    pub fn draw(words: &WindowWords, seed: u64) -> Result<Self> {
        let mut random = SplitMix64::new(seed);
        let windows = (0..words.n_windows()).map(|window| words.of_window(window));
        let drawn: Vec<_> = windows.map(|words| draw_window(words, &mut random)).collect();
        if drawn.iter().all(|window| window.within.is_empty()) {
            let kind = "of several tokens beside other words at the same distance".to_owned();
            return Err(ProbeError::TooFewWords { kind, found: 0, needed: 1 });
        }
        let (within, across) = drawn.into_iter().map(|window| (window.within, window.across)).unzip();
        Ok(Self {
            within: PairMask::new(&format!("within words, seed {seed}"), within),
            across: PairMask::new(&format!("across words, seed {seed}"), across),
        })
    }
}

/// The pairs of a window.
#[derive(Default)]
struct WindowPairs {
    within: Vec<AttentionPair>,
    across: Vec<AttentionPair>,
}

fn draw_window(words: &[Range<usize>], random: &mut SplitMix64) -> WindowPairs {
    let mut drawn = WindowPairs::default();
    for WindowPairs { mut within, mut across } in by_distance(words).into_values() {
        let n = within.len().min(across.len());
        for pairs in [&mut within, &mut across] {
            random.shuffle(pairs);
            pairs.truncate(n);
        }
        drawn.within.append(&mut within);
        drawn.across.append(&mut across);
    }
    drawn.within.sort_unstable();
    drawn.across.sort_unstable();
    drawn
}

/// All pairs of tokens of words at the distances that there are within words.
fn by_distance(words: &[Range<usize>]) -> BTreeMap<usize, WindowPairs> {
    let longest = words.iter().map(Range::len).max().unwrap_or(0);
    let tokens: Vec<_> = words.iter().enumerate().flat_map(|(word, at)| at.clone().map(move |at| (at, word))).collect();
    let mut pairs: BTreeMap<usize, WindowPairs> = BTreeMap::new();
    for (index, &(query, word)) in tokens.iter().enumerate() {
        let before = tokens[..index].iter().rev().take_while(|(key, _)| query - key < longest);
        for &(key, other) in before.filter(|(key, _)| *key > 0) {
            let at_distance = pairs.entry(query - key).or_default();
            let kind = if word == other { &mut at_distance.within } else { &mut at_distance.across };
            kind.push(AttentionPair::new(query, key));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words at these positions in one window each.
    fn words(windows: &[&[Range<usize>]]) -> WindowWords {
        windows.iter().map(|words| words.to_vec()).collect::<Vec<_>>().into()
    }

    fn distances(pairs: &[AttentionPair]) -> Vec<usize> {
        let mut distances: Vec<_> = pairs.iter().map(|pair| pair.query - pair.key).collect();
        distances.sort_unstable();
        distances
    }

    #[test]
    fn both_kinds_have_the_same_distances_in_every_window() {
        let text: &[Range<usize>] = &[0..1, 1..4, 4..6, 6..7, 8..9, 9..10, 12..16, 16..17, 17..18, 18..19];
        let other: &[Range<usize>] = &[0..5, 5..6, 6..7, 7..8];
        let words = words(&[text, other, &[], text]);
        let pairs = WordPairs::draw(&words, 3).unwrap();
        for window in 0..4 {
            let (within, across) = (pairs.within.of_window(window), pairs.across.of_window(window));
            assert_eq!(distances(within), distances(across), "{window}");
            let word = |position: usize| words.of_window(window).iter().position(|word| word.contains(&position));
            assert!(within.iter().all(|pair| word(pair.query) == word(pair.key) && pair.key > 0));
            assert!(across.iter().all(|pair| word(pair.query) != word(pair.key) && pair.key > 0));
            assert!(across.iter().all(|pair| word(pair.query).is_some() && word(pair.key).is_some()));
        }
        assert!(pairs.within.of_window(2).is_empty());
        // In the first window all pairs within words have a partner: 3, 1 and 6 of three words.
        assert_eq!(pairs.within.of_window(0).len(), 3 + 1 + 6);
        // In the second one the key at position 0 is left out of the word of five tokens.
        assert_eq!(distances(pairs.within.of_window(1)), [1, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn the_seed_decides_which_pairs_are_drawn() {
        let text: &[Range<usize>] = &[0..1, 1..3, 3..4, 4..5, 5..6, 6..7, 7..8, 8..9];
        let draw = |seed| WordPairs::draw(&words(&[text]), seed).unwrap();
        let across = |seed| draw(seed).across.of_window(0).to_vec();
        assert_eq!(across(1), across(1));
        assert!((2..20).any(|seed| across(seed) != across(1)));
        assert_ne!(draw(1).across, draw(2).across, "their ids differ");
    }

    #[test]
    fn a_text_without_words_of_several_tokens_is_refused() {
        let error = WordPairs::draw(&words(&[&[0..1, 1..2], &[0..2, 3..4]]), 0).unwrap_err().to_string();
        assert!(error.contains("0 words of several tokens"), "{error}");
    }
}
