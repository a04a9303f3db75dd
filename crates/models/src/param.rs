//! The names of a decoder's parameters, and where their values come from: [`Param`], [`ParamSource`], [`RandomParams`].
//!
//! Building a decoder asks a source for each parameter in our own layout. A checkpoint is one source, a seeded random
//! generator another.

use std::ops::Range;

use stratigraph_core::SplitMix64;

use crate::Result;

/// The role of a parameter in the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Embed,
    PosEmbed,
    FinalNorm,
    Unembed,
    AttnNorm,
    Query,
    Key,
    Value,
    QueryNorm,
    KeyNorm,
    AttnOut,
    AttnPostNorm,
    MlpNorm,
    Gate,
    Up,
    Down,
    MlpPostNorm,
}

impl Part {
    /// Whether the part is a norm, whose weight is a gain.
    pub(crate) fn is_norm(self) -> bool {
        use Part::*;
        matches!(self, FinalNorm | AttnNorm | QueryNorm | KeyNorm | AttnPostNorm | MlpNorm | MlpPostNorm)
    }
}

/// A gain or matrix, or the vector added after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Weight,
    Bias,
}

/// One parameter of a decoder: a part of layer `layer`, or of the model as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Param {
    pub(crate) layer: Option<usize>,
    pub(crate) part: Part,
    pub(crate) kind: Kind,
}

/// Gives the values of parameters, each once, in the layout of this crate: matrices `[d_in, d_out]`, embedding and
/// unembedding `[d_vocab, d_model]`, learned positions `[n_ctx, d_model]`.
pub(crate) trait ParamSource {
    /// The values of `param` in row-major order; `shape` is what the decoder needs.
    fn values(&mut self, param: Param, shape: &[usize]) -> Result<Vec<f32>>;

    /// Some rows of a matrix of `shape` over the vocabulary; they are asked for from the first on, in order.
    fn rows(&mut self, param: Param, shape: [usize; 2], rows: Range<usize>) -> Result<Vec<f32>>;
}

/// Seeded normal weights; norms' gains are one, biases zero.
pub(crate) struct RandomParams {
    random: SplitMix64,
}

impl RandomParams {
    const STD: f64 = 0.02;

    pub(crate) fn new(seed: u64) -> Self {
        Self { random: SplitMix64::new(seed) }
    }
}

impl ParamSource for RandomParams {
    fn values(&mut self, param: Param, shape: &[usize]) -> Result<Vec<f32>> {
        let n = shape.iter().product();
        Ok(match param.kind {
            Kind::Bias => vec![0.0; n],
            Kind::Weight if param.part.is_norm() => vec![1.0; n],
            Kind::Weight => (0..n).map(|_| (Self::STD * self.random.normal()) as f32).collect(),
        })
    }

    fn rows(&mut self, param: Param, [_, width]: [usize; 2], rows: Range<usize>) -> Result<Vec<f32>> {
        self.values(param, &[rows.len(), width])
    }
}
