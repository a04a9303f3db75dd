//! The norm of a decoder, of either kind: [`AnyNorm`].

use burn::module::Module;
use burn::nn::{LayerNorm, RmsNorm};
use burn::tensor::Tensor;

/// Norms the last axis.
#[derive(Module, Debug)]
pub(super) enum AnyNorm {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

impl AnyNorm {
    pub(super) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self {
            AnyNorm::Layer(norm) => norm.forward(x),
            AnyNorm::Rms(norm) => norm.forward(x),
        }
    }

    /// The gains, `[width]`.
    pub(super) fn gains(&self) -> Tensor<1> {
        match self {
            AnyNorm::Layer(norm) => norm.gamma.val(),
            AnyNorm::Rms(norm) => norm.gamma.val(),
        }
    }
}
