//! Continuations of many lengths as windows of one length, padded on the right: [`TaskBatch`].

use std::cmp::Reverse;

use stratigraph_core::{CoreError, ResidualModel, TokenWindows, check_token_ids};

use crate::{EncodedItems, Pair, PairProblem, Result, TaskError};

/// Where a continuation is read out of a window: the rows from `position` on, one for each token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadSpan {
    /// The item, from 0.
    pub item: usize,
    /// The continuation of the item, from 0.
    pub continuation: usize,
    /// The position whose logits predict the first token; the next one predicts the second, and so on.
    pub position: usize,
    /// The tokens of the continuation.
    pub tokens: Vec<u32>,
}

/// Windows of one length, and what is read out of each.
///
/// A shorter text is padded on the right with its own last token. This does not change the positions before: in a causal
/// model no position attends to a later one, and positions are counted from the window's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskBatch {
    /// What the model runs.
    pub windows: TokenWindows,
    /// What is read out of each window.
    pub reads: Vec<Vec<ReadSpan>>,
}

impl TaskBatch {
    /// Tokens of continuations that are read out.
    pub fn n_tokens(&self) -> usize {
        self.reads.iter().flatten().map(|read| read.tokens.len()).sum()
    }
}

/// A text that the model reads.
struct Sequence {
    input: Vec<u32>,
    reads: Vec<ReadSpan>,
}

/// A text joins a batch of longer ones only if it fills this share of its window.
const LEAST_FILL: f64 = 0.75;

impl EncodedItems {
    /// Lays every continuation out for `model`, in batches of about `batch_tokens` tokens.
    ///
    /// A text too long for the model loses tokens at its start. Texts are sorted from the longest to the shortest, so that
    /// there is little padding. A text that is the start of another is read out of the longer one: where continuations are
    /// one token long, a context runs once for all of them.
    ///
    /// # Errors
    /// When there are no items, a continuation has no tokens, nothing before it or is too long, or a token is outside the
    /// model's vocabulary.
    pub fn batches(&self, model: &dyn ResidualModel, batch_tokens: usize) -> Result<Vec<TaskBatch>> {
        let mut singles = Vec::new();
        for (item, pairs) in self.pairs.iter().enumerate() {
            for (continuation, pair) in pairs.iter().enumerate() {
                let bad = |problem| TaskError::BadContinuation { item, continuation, problem };
                check_token_ids(&pair.continuation, model.d_vocab())?;
                let input = input(pair, model.n_ctx()).map_err(bad)?;
                let (position, tokens) = (input.len() - pair.continuation.len(), pair.continuation.clone());
                singles.push(Sequence { input, reads: vec![ReadSpan { item, continuation, position, tokens }] });
            }
        }
        let mut sequences = shared(singles);
        sequences.sort_by_key(|sequence| Reverse(sequence.input.len()));
        if sequences.is_empty() {
            return Err(CoreError::NoWindows.into());
        }
        cut(&sequences, batch_tokens).into_iter().map(|batch| laid_out(batch, model)).collect()
    }
}

/// The tokens that the model reads: all but the last, without those at the start that its context cannot hold.
fn input(pair: &Pair, n_ctx: Option<usize>) -> Result<Vec<u32>, PairProblem> {
    let n_tokens = pair.continuation.len();
    match n_ctx {
        _ if pair.context.is_empty() => return Err(PairProblem::NoContext),
        _ if n_tokens == 0 => return Err(PairProblem::NoContinuation),
        Some(n_ctx) if n_tokens > n_ctx => return Err(PairProblem::TooLong { n_tokens, n_ctx }),
        _ => {}
    }
    let mut input = [&pair.context[..], &pair.continuation[..n_tokens - 1]].concat();
    input.drain(..input.len().saturating_sub(n_ctx.unwrap_or(usize::MAX)));
    Ok(input)
}

/// Puts each text that is the start of another into that one; in alphabetical order the longer follows the shorter.
fn shared(mut singles: Vec<Sequence>) -> Vec<Sequence> {
    singles.sort_by(|a, b| a.input.cmp(&b.input));
    let mut sequences: Vec<Sequence> = Vec::new();
    for single in singles.into_iter().rev() {
        match sequences.last_mut() {
            Some(longer) if longer.input.starts_with(&single.input) => longer.reads.extend(single.reads),
            _ => sequences.push(single),
        }
    }
    sequences
}

/// Cuts texts that go from long to short into batches.
fn cut(mut sequences: &[Sequence], batch_tokens: usize) -> Vec<&[Sequence]> {
    let mut batches = Vec::new();
    while let Some(longest) = sequences.first() {
        let seq_len = longest.input.len();
        let most = (batch_tokens / seq_len).max(1);
        let fills = |sequence: &&Sequence| sequence.input.len() as f64 >= seq_len as f64 * LEAST_FILL;
        let n = sequences.iter().take(most).take_while(fills).count();
        let (batch, rest) = sequences.split_at(n);
        batches.push(batch);
        sequences = rest;
    }
    batches
}

fn laid_out(batch: &[Sequence], model: &dyn ResidualModel) -> Result<TaskBatch> {
    let seq_len = batch[0].input.len().max(2); // the shortest window there is
    let padded = batch.iter().flat_map(|sequence| {
        let last = sequence.input.last().expect("a context has tokens");
        let n_padding = seq_len - sequence.input.len();
        sequence.input.iter().chain(std::iter::repeat_n(last, n_padding)).copied()
    });
    let windows = TokenWindows::new(&padded.collect::<Vec<_>>(), seq_len)?;
    windows.check(model)?;
    Ok(TaskBatch { windows, reads: batch.iter().map(|sequence| sequence.reads.clone()).collect() })
}
