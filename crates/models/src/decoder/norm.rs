//! The norm of a decoder, of either kind: [`AnyNorm`].

use burn::module::{Module, Param};
use burn::nn::RmsNorm;
use burn::tensor::Tensor;
use burn::tensor::module::layer_norm;
use stratigraph_kernels as kernels;

use super::host;

/// Subtracts the mean, too.
#[derive(Module, Debug)]
pub(super) struct LayerNorm {
    pub(super) gamma: Param<Tensor<1>>,
    pub(super) beta: Param<Tensor<1>>,
    pub(super) epsilon: f64,
}

/// Norms the last axis.
#[derive(Module, Debug)]
pub(super) enum AnyNorm {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

impl AnyNorm {
    pub(super) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if host::on_host(&x.device()) {
            return self.forward_on_host(x);
        }
        match self {
            AnyNorm::Layer(norm) => layer_norm(x, norm.gamma.val(), Some(norm.beta.val()), norm.epsilon),
            AnyNorm::Rms(norm) => norm.forward(x),
        }
    }

    /// One vectorised pass over the tensor's memory.
    fn forward_on_host<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let gains = host::floats(self.gains());
        let (gains, width) = (host::slice(&gains), x.dims()[D - 1]);
        match self {
            AnyNorm::Layer(norm) => {
                let biases = host::floats(norm.beta.val());
                host::edit(x, width, |rows| kernels::layer_norm(rows, gains, host::slice(&biases), norm.epsilon as f32))
            }
            AnyNorm::Rms(norm) => host::edit(x, width, |rows| kernels::rms_norm(rows, gains, norm.epsilon as f32)),
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
