//! Pairs of prompts as token ids: [`TokenPair`], checked and grouped by length by [`EncodedPairs`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stratigraph_core::{ResidualModel, TokenWindows};

use crate::{Result, StudyError};

/// A pair of prompts as token ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenPair {
    /// The prompt that `answer` follows.
    pub clean: Vec<u32>,
    /// The prompt that `other` follows, of the same length.
    pub corrupted: Vec<u32>,
    /// The answer to the clean prompt.
    pub answer: u32,
    /// The answer to the corrupted prompt.
    pub other: u32,
}

impl TokenPair {
    /// A pair with its answers.
    pub fn new(clean: Vec<u32>, corrupted: Vec<u32>, answer: u32, other: u32) -> Self {
        Self { clean, corrupted, answer, other }
    }

    /// How many tokens each prompt has.
    fn seq_len(&self) -> usize {
        self.clean.len()
    }

    /// Why activations of one prompt cannot be put into the run of the other; none where they can.
    fn problem(&self) -> Option<String> {
        let Self { clean, corrupted, answer, other } = self;
        match (clean.len(), corrupted.len()) {
            (0, _) => Some("its clean prompt is empty".to_owned()),
            (_, 0) => Some("its corrupted prompt is empty".to_owned()),
            (a, b) if a != b => Some(format!(
                "its clean prompt has {a} tokens and its corrupted one {b}; both need the same number, so that positions \
                 correspond"
            )),
            (1, _) => Some("its prompts have 1 token each, and it takes at least 2".to_owned()),
            _ if clean == corrupted => Some("its two prompts are the same".to_owned()),
            _ if answer == other => Some("its two answers are the same token".to_owned()),
            _ => None,
        }
    }

    /// Why a model cannot run it; none where it can.
    fn problem_with(&self, model: &dyn ResidualModel) -> Option<String> {
        let shape = model.shape();
        let mut ids = self.clean.iter().chain(&self.corrupted).chain([&self.answer, &self.other]);
        match (shape.n_ctx, ids.find(|id| **id as usize >= shape.d_vocab)) {
            (Some(n_ctx), _) if self.seq_len() > n_ctx => {
                Some(format!("its prompts have {} tokens, and the model's context {n_ctx}", self.seq_len()))
            }
            (_, Some(id)) => Some(format!("token id {id} is outside the model's vocabulary of {}", shape.d_vocab)),
            _ => None,
        }
    }
}

/// Pairs of prompts as token ids; those of each pair are of one length.
///
/// [`PromptPairs::encode`](super::PromptPairs::encode) makes them from texts.
///
/// ```
/// use stratigraph_study::measurements::{EncodedPairs, TokenPair};
/// let pairs = EncodedPairs::new(vec![TokenPair::new(vec![5, 6, 7], vec![5, 9, 7], 1, 2)])?;
/// assert_eq!(pairs.pairs().len(), 1);
/// assert!(EncodedPairs::new(vec![TokenPair::new(vec![5, 6, 7], vec![5, 9], 1, 2)]).is_err());
/// # Ok::<(), stratigraph_study::StudyError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct EncodedPairs {
    pairs: Vec<TokenPair>,
    /// The name of each pair in errors.
    names: Vec<String>,
}

impl EncodedPairs {
    /// These pairs.
    ///
    /// # Errors
    /// When there are none; [`StudyError::UnfitPair`] with the first whose prompts have different lengths, fewer than two
    /// tokens or the same tokens, or whose answers are the same.
    pub fn new(pairs: Vec<TokenPair>) -> Result<Self> {
        let mut all = Self::default();
        let mut named = pairs.into_iter().enumerate();
        named.try_for_each(|(index, pair)| all.push(pair, format!("pair {index} (counted from 0)"), None))?;
        if all.pairs.is_empty() { Err(StudyError::NoPairs) } else { Ok(all) }
    }

    /// Adds a pair, and checks that the model, if there is one, can run it.
    pub(super) fn push(&mut self, pair: TokenPair, name: String, model: Option<&dyn ResidualModel>) -> Result<()> {
        let problem = pair.problem().or_else(|| pair.problem_with(model?));
        if let Some(reason) = problem {
            return Err(StudyError::UnfitPair { pair: name, reason });
        }
        self.pairs.push(pair);
        self.names.push(name);
        Ok(())
    }

    /// The pairs.
    pub fn pairs(&self) -> &[TokenPair] {
        &self.pairs
    }

    /// Each pair with its name in errors.
    pub(super) fn named(&self) -> impl Iterator<Item = (&TokenPair, &String)> {
        self.pairs.iter().zip(&self.names)
    }

    /// Tokens of a prompt of the longest pair.
    pub fn longest(&self) -> usize {
        self.pairs.iter().map(TokenPair::seq_len).max().unwrap_or(0)
    }

    /// Checks that `model` can run every pair.
    ///
    /// # Errors
    /// [`StudyError::UnfitPair`] with the first pair that is longer than the model's context or has a token outside its
    /// vocabulary.
    pub fn check(&self, model: &dyn ResidualModel) -> Result<()> {
        let problem = |(pair, name): (&TokenPair, &String)| {
            Some(StudyError::UnfitPair { reason: pair.problem_with(model)?, pair: name.clone() })
        };
        self.named().find_map(problem).map_or(Ok(()), Err)
    }

    /// The pairs grouped by length, the shortest first; `most` is the largest group of a length.
    pub(super) fn groups(&self, most: impl Fn(usize) -> usize) -> Result<Vec<PairGroup<'_>>> {
        let mut lengths: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, pair) in self.pairs.iter().enumerate() {
            lengths.entry(pair.seq_len()).or_default().push(index);
        }
        let parts = lengths.iter().flat_map(|(seq_len, members)| members.chunks(most(*seq_len).max(1)));
        parts.map(|members| PairGroup::new(self, members.to_vec())).collect()
    }
}

/// Pairs of one length, which run together.
#[derive(Debug)]
pub(super) struct PairGroup<'a> {
    pub(super) all: &'a EncodedPairs,
    /// The index of each pair.
    pub(super) members: Vec<usize>,
    /// The clean prompts, a window each.
    pub(super) clean: TokenWindows,
    /// The corrupted prompts.
    pub(super) corrupted: TokenWindows,
}

impl<'a> PairGroup<'a> {
    fn new(all: &'a EncodedPairs, members: Vec<usize>) -> Result<Self> {
        let windows = |prompt: fn(&TokenPair) -> &[u32]| {
            let ids: Vec<u32> = members.iter().flat_map(|&index| prompt(&all.pairs[index])).copied().collect();
            TokenWindows::new(&ids, ids.len() / members.len())
        };
        let (clean, corrupted) = (windows(|pair| &pair.clean)?, windows(|pair| &pair.corrupted)?);
        Ok(Self { all, members, clean, corrupted })
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn seq_len(&self) -> usize {
        self.clean.seq_len()
    }

    /// The pair of a window.
    pub(super) fn pair(&self, window: usize) -> &'a TokenPair {
        &self.all.pairs[self.members[window]]
    }

    /// The name of a window's pair in errors.
    pub(super) fn name(&self, window: usize) -> &'a str {
        &self.all.names[self.members[window]]
    }

    /// The last token of each clean prompt and its answer, windows of two tokens.
    pub(super) fn answers(&self) -> Result<TokenWindows> {
        let two = |window: usize| [self.clean.sequence(window)[self.seq_len() - 1], self.pair(window).answer];
        Ok(TokenWindows::new(&(0..self.len()).flat_map(two).collect::<Vec<_>>(), 2)?)
    }
}
