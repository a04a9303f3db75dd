//! Metrics that the statistics of a row suffice for: [`Kl`], [`Top1Agreement`], [`EntropyBits`], [`Loss`], [`Accuracy`].

use std::f64::consts::LN_2;
use std::sync::Arc;

use super::{Metric, RowStatistics};

/// The metrics of this file, which are found by their names.
pub(super) fn built_in() -> [Arc<dyn Metric>; 5] {
    [Arc::new(Kl), Arc::new(Top1Agreement), Arc::new(EntropyBits), Arc::new(Loss), Arc::new(Accuracy)]
}

/// The Kullback-Leibler divergence from the clean distribution, `sum_v p_v (ln p_v - ln q_v)`, in nats.
///
/// Values between -1e-5 and 0, which come from rounding, become 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kl;

impl Metric for Kl {
    fn name(&self) -> &str {
        "kl"
    }

    fn unit(&self) -> &str {
        "nats"
    }

    fn is_comparison(&self) -> bool {
        true
    }

    fn of_row(&self, row: &RowStatistics) -> Option<f64> {
        Some(row.kl())
    }
}

/// 1 where both distributions have the same most likely token, `argmax q = argmax p`, else 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Top1Agreement;

impl Metric for Top1Agreement {
    fn name(&self) -> &str {
        "top1_agreement"
    }

    fn unit(&self) -> &str {
        "fraction"
    }

    fn is_comparison(&self) -> bool {
        true
    }

    fn of_row(&self, row: &RowStatistics) -> Option<f64> {
        Some(indicator(row.clean_top1() == row.top1()))
    }
}

/// The entropy of the changed distribution, `- sum_v q_v log2 q_v`, in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntropyBits;

impl Metric for EntropyBits {
    fn name(&self) -> &str {
        "entropy_bits"
    }

    fn unit(&self) -> &str {
        "bits"
    }

    fn of_row(&self, row: &RowStatistics) -> Option<f64> {
        Some(row.entropy() / LN_2)
    }
}

/// The negative log-likelihood of the token that follows, `- ln q_x`, in nats; its name is `nll`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss;

impl Metric for Loss {
    fn name(&self) -> &str {
        "nll"
    }

    fn unit(&self) -> &str {
        "nats"
    }

    fn needs_next_token(&self) -> bool {
        true
    }

    fn of_row(&self, row: &RowStatistics) -> Option<f64> {
        Some(-row.next_token()?.log_prob)
    }
}

/// 1 where the token that follows is the most likely one, `argmax q = x`, else 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accuracy;

impl Metric for Accuracy {
    fn name(&self) -> &str {
        "accuracy"
    }

    fn unit(&self) -> &str {
        "fraction"
    }

    fn needs_next_token(&self) -> bool {
        true
    }

    fn of_row(&self, row: &RowStatistics) -> Option<f64> {
        Some(indicator(row.next_token()?.is_top1))
    }
}

fn indicator(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}
