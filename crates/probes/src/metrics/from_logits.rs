//! Metrics that need both rows of logits: [`ReverseKl`], [`JensenShannon`], [`TopKOverlap`], [`Rank`],
//! [`LogitDifference`].

use std::f64::consts::LN_2;
use std::sync::Arc;

use stratigraph_core::check_token_ids;
use stratigraph_kernels::softmax::{self, SumsAgainst};

use super::{LogitRow, LogitRows, Metric, MetricInput};
use crate::readout::RowSums;
use crate::{ProbeError, Result};

/// The metrics of this file that are found by their names. A logit difference is not: its tokens are not in its name.
pub(super) fn built_in() -> [Arc<dyn Metric>; 3] {
    [Arc::new(ReverseKl), Arc::new(JensenShannon), Arc::new(Rank)]
}

/// How names of metrics with a number are written.
pub(super) const WITH_NUMBER: &str = "topK_overlap (such as top5_overlap)";

/// The metric of a name with a number.
pub(super) fn built_in_with_number(name: &str) -> Option<Arc<dyn Metric>> {
    let k = name.strip_prefix("top")?.strip_suffix("_overlap")?.parse().ok()?;
    let overlap = TopKOverlap::new(k);
    if overlap.name() == name { Some(Arc::new(overlap)) } else { None }
}

/// The Kullback-Leibler divergence with the roles swapped, `sum_v q_v (ln q_v - ln p_v)`, in nats.
///
/// Values between -1e-5 and 0, which come from rounding, become 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReverseKl;

impl Metric for ReverseKl {
    fn name(&self) -> &str {
        "reverse_kl"
    }

    fn unit(&self) -> &str {
        "nats"
    }

    fn is_comparison(&self) -> bool {
        true
    }

    fn input(&self) -> MetricInput {
        MetricInput::Logits
    }

    fn of_logits(&self, rows: &LogitRows) -> Option<f64> {
        let reference = rows.changed();
        let SumsAgainst { sums, cross } = softmax::sums_against(rows.clean().logits(), reference.as_reference());
        Some(RowSums::from_row(sums, reference.sums(), cross).kl())
    }
}

/// The Jensen-Shannon divergence, `KL(p, m) / 2 + KL(q, m) / 2` of the mixture `m = (p + q) / 2`, in nats; its name is
/// `js`.
///
/// It is symmetric and lies between 0 and `ln 2`; values outside, which come from rounding, become the nearer bound.
///
/// J. Lin, *Divergence measures based on the Shannon entropy* (1991).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JensenShannon;

impl Metric for JensenShannon {
    fn name(&self) -> &str {
        "js"
    }

    fn unit(&self) -> &str {
        "nats"
    }

    fn is_comparison(&self) -> bool {
        true
    }

    fn input(&self) -> MetricInput {
        MetricInput::Logits
    }

    fn of_logits(&self, rows: &LogitRows) -> Option<f64> {
        Some(jensen_shannon(rows.clean(), rows.changed()))
    }
}

fn jensen_shannon(p: &LogitRow, q: &LogitRow) -> f64 {
    let shift = q.log_sum_exp() - p.log_sum_exp();
    let probabilities = p.probabilities().zip(q.probabilities());
    let terms = probabilities.zip(p.logits().iter().zip(q.logits())).map(|((p, q), (&p_logit, &q_logit))| {
        if p == 0.0 || q == 0.0 {
            return (p + q) * LN_2;
        }
        // ln(p / m) = ln(2 / (1 + q / p)), and ln(q / m) is larger by ln(q / p).
        let of_p = LN_2 - (1.0 + q / p).ln();
        let of_q = of_p + (f64::from(q_logit) - f64::from(p_logit) - shift);
        p * of_p + q * of_q
    });
    (terms.sum::<f64>() / 2.0).clamp(0.0, LN_2)
}

/// The share of the `k` most likely tokens of the clean distribution that are among the `k` most likely of the changed one.
///
/// Where tokens tie for the last place, the lower id is taken. Its name has `k` in it: `top5_overlap` for `k = 5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopKOverlap {
    k: usize,
    name: String,
}

impl TopKOverlap {
    /// Of the `k` most likely tokens, from 1 to the size of the vocabulary.
    pub fn new(k: usize) -> Self {
        Self { k, name: format!("top{k}_overlap") }
    }

    /// How many tokens of each distribution are compared.
    pub fn k(&self) -> usize {
        self.k
    }
}

impl Metric for TopKOverlap {
    fn name(&self) -> &str {
        &self.name
    }

    fn unit(&self) -> &str {
        "fraction"
    }

    fn is_comparison(&self) -> bool {
        true
    }

    fn input(&self) -> MetricInput {
        MetricInput::Logits
    }

    fn of_logits(&self, rows: &LogitRows) -> Option<f64> {
        let mut clean = rows.clean().top_k(self.k);
        clean.sort_unstable();
        let changed = rows.changed().top_k(self.k);
        let shared = changed.iter().filter(|id| clean.binary_search(id).is_ok()).count();
        Some(shared as f64 / self.k as f64)
    }

    fn check(&self, d_vocab: usize) -> Result<()> {
        check_top_k(self.k, d_vocab)
    }
}

/// Refuses a number of most likely tokens that a vocabulary cannot give.
pub(crate) fn check_top_k(k: usize, d_vocab: usize) -> Result<()> {
    if (1..=d_vocab).contains(&k) { Ok(()) } else { Err(ProbeError::TopKOutOfRange { k, d_vocab }) }
}

/// The [rank](LogitRow::rank) of the token that follows among all tokens of the changed distribution: 1 exactly where
/// [`Accuracy`](super::Accuracy) is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank;

impl Metric for Rank {
    fn name(&self) -> &str {
        "rank"
    }

    fn unit(&self) -> &str {
        "rank"
    }

    fn needs_next_token(&self) -> bool {
        true
    }

    fn input(&self) -> MetricInput {
        MetricInput::Logits
    }

    fn of_logits(&self, rows: &LogitRows) -> Option<f64> {
        rows.changed().rank(rows.next_token()?).map(|rank| rank as f64)
    }
}

/// The difference of two tokens' logits under the changed model, `z_a - z_b`.
///
/// It equals the difference of their log-probabilities. Its name is `logit_difference`; a set that has several of them
/// needs a name for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogitDifference {
    a: u32,
    b: u32,
    name: String,
    last_only: bool,
}

impl LogitDifference {
    /// The logit of token `a` minus that of token `b`, at every position.
    pub fn new(a: u32, b: u32) -> Self {
        Self { a, b, name: "logit_difference".to_owned(), last_only: false }
    }

    /// With another name.
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// At the last position of each window only, where a prompt is answered.
    pub fn at_last_position(self) -> Self {
        Self { last_only: true, ..self }
    }
}

impl Metric for LogitDifference {
    fn name(&self) -> &str {
        &self.name
    }

    fn unit(&self) -> &str {
        "logits"
    }

    fn input(&self) -> MetricInput {
        MetricInput::Logits
    }

    fn of_logits(&self, rows: &LogitRows) -> Option<f64> {
        if self.last_only && rows.next_token().is_some() {
            return None;
        }
        let logits = rows.changed().logits();
        let logit = |token: u32| logits.get(token as usize).copied().map(f64::from);
        Some(logit(self.a)? - logit(self.b)?)
    }

    fn check(&self, d_vocab: usize) -> Result<()> {
        Ok(check_token_ids(&[self.a, self.b], d_vocab)?)
    }
}
