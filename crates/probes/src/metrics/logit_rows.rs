//! Both rows of logits of one position, for metrics that need all of them: [`LogitRows`], two times a [`LogitRow`].

use std::cell::{Cell, OnceCell};

use stratigraph_kernels::softmax::{self, Clean, Sums};

use super::row_statistics::Position;
use crate::readout::TopK;

/// The logits of one position over the whole vocabulary. Their softmax is computed once, when it is first asked for.
pub struct LogitRow<'a> {
    logits: &'a [f32],
    softmax: OnceCell<Softmax>,
    /// Memory for the exponentials.
    scratch: Cell<Vec<f32>>,
}

struct Softmax {
    sums: Sums,
    /// `exp(logit - max)` of each token.
    exps: Vec<f32>,
}

impl<'a> LogitRow<'a> {
    /// A row; `scratch` is memory that an earlier row has given back.
    pub(crate) fn new(logits: &'a [f32], scratch: Vec<f32>) -> Self {
        Self { logits, softmax: OnceCell::new(), scratch: Cell::new(scratch) }
    }

    /// Gives the memory back.
    pub(crate) fn into_scratch(self) -> Vec<f32> {
        self.softmax.into_inner().map_or_else(|| self.scratch.into_inner(), |softmax| softmax.exps)
    }

    /// The logits, `[d_vocab]`.
    pub fn logits(&self) -> &'a [f32] {
        self.logits
    }

    /// The logarithm of the sum of the logits' exponentials.
    pub fn log_sum_exp(&self) -> f64 {
        let Sums { max, sum, .. } = self.softmax().sums;
        f64::from(max) + sum.ln()
    }

    /// The log-probability of a token, in nats; none when it is outside the vocabulary.
    pub fn log_prob(&self, token: usize) -> Option<f64> {
        Some(f64::from(*self.logits.get(token)?) - self.log_sum_exp())
    }

    /// The probability of each token, in the order of their ids.
    pub fn probabilities(&self) -> impl Iterator<Item = f64> {
        let Softmax { sums, exps } = self.softmax();
        exps.iter().map(|&e| f64::from(e) / sums.sum)
    }

    /// The most likely token, the lowest id on ties.
    pub fn top1(&self) -> usize {
        self.softmax().sums.top1
    }

    /// The rank of a token among all tokens, from 1; none when it is outside the vocabulary.
    ///
    /// Tokens with a larger logit come before it, and so do those with the same logit and a lower id: the rank of
    /// [`top1`](LogitRow::top1) is 1.
    pub fn rank(&self, token: usize) -> Option<usize> {
        let logit = *self.logits.get(token)?;
        let larger = self.logits.iter().filter(|&&other| other > logit).count();
        let equal_before = self.logits[..token].iter().filter(|&&other| other == logit).count();
        Some(1 + larger + equal_before)
    }

    /// The `k` most likely tokens, the most likely first; the lower id first on ties.
    pub fn top_k(&self, k: usize) -> Vec<usize> {
        let mut top = TopK::new(k);
        top.extend(0, self.logits);
        top.into_candidates().into_iter().map(|candidate| candidate.id).collect()
    }

    pub(crate) fn sums(&self) -> Sums {
        self.softmax().sums
    }

    /// The row as the reference that another row is measured against.
    pub(crate) fn as_reference(&self) -> Clean<'_> {
        let Softmax { sums, exps } = self.softmax();
        Clean { logits: self.logits, exps, max: sums.max }
    }

    fn softmax(&self) -> &Softmax {
        self.softmax.get_or_init(|| {
            let sums = softmax::sums(self.logits);
            let mut exps = self.scratch.take();
            exps.resize(self.logits.len(), 0.0);
            softmax::exps(self.logits, sums.max, &mut exps);
            Softmax { sums, exps }
        })
    }
}

/// The clean and the changed logits at one position, over the whole vocabulary.
#[derive(Clone, Copy)]
pub struct LogitRows<'a> {
    clean: &'a LogitRow<'a>,
    changed: &'a LogitRow<'a>,
    at: Position,
}

impl<'a> LogitRows<'a> {
    pub(crate) fn new(clean: &'a LogitRow<'a>, changed: &'a LogitRow<'a>, at: Position) -> Self {
        Self { clean, changed, at }
    }

    /// The clean row.
    pub fn clean(&self) -> &'a LogitRow<'a> {
        self.clean
    }

    /// The changed row.
    pub fn changed(&self) -> &'a LogitRow<'a> {
        self.changed
    }

    /// The token that follows; none at the last position of a window.
    pub fn next_token(&self) -> Option<usize> {
        self.at.next_token
    }

    /// The window of the corpus, from 0.
    pub fn sequence(&self) -> usize {
        self.at.sequence
    }

    /// The position in the window, from 0.
    pub fn position(&self) -> usize {
        self.at.position
    }
}
