//! From logits to sums over the vocabulary: [`Reduction`] says where, [`RowSums`] holds those of one row.
//!
//! Rows are reduced in parts, each over some tokens of the vocabulary, so that no device holds more than a tile of logits.
//! A part's sums are relative to its own largest logit; putting parts together rescales them (the online softmax of Milakov
//! and Gimelshein, arXiv 1805.02867), here for the entropy and the divergence too.

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use stratigraph_core::is_host_device;
use stratigraph_kernels::softmax::Sums;

/// Where logits are reduced to sums over the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// In the host's memory, by one vectorised pass over each tile; for CPU backends, whose tensors lie there already.
    Host,
    /// On the device; only sums are read back. On graphics adapters and other devices of CubeCL (feature `wgpu`) by one kernel for
    /// each tile, on any other device by tensor operations.
    Device,
}

impl Reduction {
    /// What suits a device: the host for flex and ndarray, the device itself for any other.
    pub fn suited_to(device: &Device) -> Self {
        if is_host_device(device) { Reduction::Host } else { Reduction::Device }
    }
}

/// A way to reduce tiles of logits `[rows, tokens]`, some tokens of the vocabulary each.
pub(crate) trait Reduce {
    /// A tile of clean logits, to measure others against.
    type Clean;
    /// The sums of a tile, which the device may still be computing.
    type Sums: Send;
    /// A place in the tile for each row, whose logit is kept; where the logits are.
    type Places;

    /// Whether sums are read once for a whole batch, because reading waits for the device. Otherwise they are read tile
    /// by tile.
    const READ_TOGETHER: bool;

    /// An index into the tile for each row, which serve the tiles of all streams on `device`.
    fn places(indices: Vec<usize>, device: &Device) -> Self::Places;

    /// Takes clean logits, and reduces them against themselves.
    fn clean(logits: Tensor<2>, places: &Self::Places) -> (Self::Clean, Self::Sums);

    /// Reduces logits, against the clean ones where there are any.
    fn reduce(logits: Tensor<2>, clean: Option<&Self::Clean>, places: &Self::Places) -> Self::Sums;

    /// The sums of several tiles as numbers, `[tile][row]`.
    fn read(sums: Vec<Self::Sums>) -> Vec<Vec<Part>>;
}

/// One row of a tile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// The largest logit, and its first index in the tile.
    pub(crate) max: f32,
    pub(crate) top1: usize,
    /// `sum(exp(x))` and `sum(x exp(x))` of `x = logit - max`.
    pub(crate) sum: f64,
    pub(crate) weighted: f64,
    /// The logit of the row's token.
    pub(crate) token: f32,
    /// Sums with the clean logits, where the row is compared with some.
    pub(crate) clean: Option<CleanStatistics>,
}

impl Part {
    /// A row of a tile without a clean row, whose token's logit is not used.
    pub(crate) fn alone(Sums { max, top1, sum, weighted }: Sums) -> Self {
        Self { max, top1, sum, weighted, token: f32::NAN, clean: None }
    }
}

/// Sums over the clean logits of a row; `y` is a clean logit minus the largest of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CleanStatistics {
    /// The largest clean logit.
    pub(crate) max: f32,
    /// `sum(exp(y))`
    pub(crate) sum: f64,
    /// `sum(exp(y) (y - x))`
    pub(crate) cross: f64,
}

/// One row over all of the vocabulary so far, in f64.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowSums {
    max: f64,
    sum: f64,
    weighted: f64,
    token: f64,
    clean_max: f64,
    clean_sum: f64,
    cross: f64,
    /// The most likely token, the lowest id on ties.
    pub(crate) top1: usize,
}

impl RowSums {
    /// A row of the tile over the tokens `range` of the vocabulary; `token` is the id whose logit is kept.
    pub(crate) fn of(part: &Part, range: &Range<usize>, token: usize) -> Self {
        let CleanStatistics { max, sum, cross } =
            part.clean.unwrap_or(CleanStatistics { max: 0.0, sum: 0.0, cross: 0.0 });
        Self {
            max: part.max.into(),
            sum: part.sum,
            weighted: part.weighted,
            token: if range.contains(&token) { part.token.into() } else { f64::NAN },
            clean_max: max.into(),
            clean_sum: sum,
            cross,
            top1: range.start + part.top1,
        }
    }

    /// A row over the whole vocabulary, compared with a row whose sums are `clean`; `cross` is that of
    /// [`SumsAgainst`](stratigraph_kernels::softmax::SumsAgainst). It has no token.
    pub(crate) fn from_row(sums: Sums, clean: Sums, cross: f64) -> Self {
        let clean = CleanStatistics { max: clean.max, sum: clean.sum, cross };
        Self::of(&Part { clean: Some(clean), ..Part::alone(sums) }, &(0..0), 0)
    }

    /// The row over more of the vocabulary: `later` has the tokens after its own.
    pub(crate) fn with(&self, later: &Self) -> Self {
        let (max, clean_max) = (self.max.max(later.max), self.clean_max.max(later.clean_max));
        let [a, b] = [self, later].map(|part| part.relative_to(max, clean_max));
        Self {
            max,
            clean_max,
            sum: a.sum + b.sum,
            weighted: a.weighted + b.weighted,
            clean_sum: a.clean_sum + b.clean_sum,
            cross: a.cross + b.cross,
            token: if self.token.is_nan() { later.token } else { self.token },
            top1: if later.max > self.max { later.top1 } else { self.top1 },
        }
    }

    /// The same sums relative to larger maxima.
    fn relative_to(&self, max: f64, clean_max: f64) -> Self {
        let (shift, clean_shift) = (self.max - max, self.clean_max - clean_max);
        Self {
            sum: scaled(self.sum, shift),
            weighted: scaled(self.weighted + shift * self.sum, shift),
            clean_sum: scaled(self.clean_sum, clean_shift),
            cross: scaled(self.cross + (clean_shift - shift) * self.clean_sum, clean_shift),
            ..*self
        }
    }

    /// The logarithm of the sum of the logits' exponentials.
    pub(crate) fn log_sum_exp(&self) -> f64 {
        self.max + self.sum.ln()
    }

    /// The Kullback-Leibler divergence from the clean row, in nats. Values below 0, which come from rounding, become 0.
    pub(crate) fn kl(&self) -> f64 {
        const ROUNDING: f64 = 1e-5;
        let kl = self.cross / self.clean_sum - self.clean_sum.ln() + self.sum.ln();
        if kl < 0.0 && kl > -ROUNDING { 0.0 } else { kl }
    }

    /// The entropy, in nats.
    pub(crate) fn entropy(&self) -> f64 {
        self.sum.ln() - self.weighted / self.sum
    }

    /// The log-probability of the row's token, in nats.
    pub(crate) fn log_prob(&self) -> f64 {
        self.token - self.log_sum_exp()
    }
}

/// `value exp(log)`, where `exp(log) = 0` gives 0 whatever the value; NaN stays NaN.
fn scaled(value: f64, log: f64) -> f64 {
    let scale = log.exp();
    if scale == 0.0 && !value.is_nan() { 0.0 } else { value * scale }
}
