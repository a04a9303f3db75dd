//! What is measured of a distribution: [`Metric`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of each position, from the distribution `q` there, the clean one `p` and the token that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// `sum_v p_v (log p_v - log q_v)`, in nats.
    Kl,
    /// 1 where `q` and `p` have the same most likely token (the lowest id on ties), else 0.
    Top1Agreement,
    /// `- sum_v q_v log2 q_v`, in bits.
    EntropyBits,
    /// `- log q(x_{t+1})`, in nats; the last position of a window has no next token and does not count.
    Nll,
    /// 1 where the most likely token of `q` is `x_{t+1}`, else 0; the last position does not count.
    Accuracy,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Metric; 5] =
        [Metric::Kl, Metric::Top1Agreement, Metric::EntropyBits, Metric::Nll, Metric::Accuracy];

    /// The name under which it is written.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Kl => "kl",
            Metric::Top1Agreement => "top1_agreement",
            Metric::EntropyBits => "entropy_bits",
            Metric::Nll => "nll",
            Metric::Accuracy => "accuracy",
        }
    }

    /// Its unit.
    pub fn unit(self) -> &'static str {
        match self {
            Metric::Kl | Metric::Nll => "nats",
            Metric::EntropyBits => "bits",
            Metric::Top1Agreement | Metric::Accuracy => "fraction",
        }
    }

    /// Whether it needs the token that follows, which the last position of a window lacks.
    pub(crate) fn needs_next_token(self) -> bool {
        matches!(self, Metric::Nll | Metric::Accuracy)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
