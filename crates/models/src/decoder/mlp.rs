//! The MLP, plain or gated: [`FeedForward`].

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, relu, sigmoid, silu};
use stratigraph_core::{Hook, Result, Site, Tap, visit};
use stratigraph_kernels as kernels;

use super::{host, linear};
use crate::Activation;

/// `down(activation(up(x)))`, or `down(activation(gate(x)) * up(x))` with a gate.
#[derive(Module, Debug)]
pub(super) struct FeedForward {
    pub(super) gate: Option<Linear>,
    pub(super) up: Linear,
    pub(super) down: Linear,
    #[module(skip)]
    pub(super) activation: Activation,
}

impl FeedForward {
    /// What the MLP adds to the residual stream: normed `[batch, pos, d_model]` to `[batch, pos, d_model]`.
    pub(super) fn forward(&self, normed: Tensor<3>, site: Site, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        let up = linear(&self.up, normed.clone());
        let post = match &self.gate {
            Some(gate) => {
                let gate = visit(tap, site, Hook::MlpPre, linear(gate, normed))?;
                activate_gated(self.activation, gate, up)
            }
            None => activate(self.activation, visit(tap, site, Hook::MlpPre, up)?),
        };
        Ok(linear(&self.down, visit(tap, site, Hook::MlpPost, post)?))
    }
}

fn activate(activation: Activation, x: Tensor<3>) -> Tensor<3> {
    let kernel = match activation {
        Activation::Silu => kernels::silu,
        Activation::Gelu => kernels::gelu,
        Activation::GeluTanh => kernels::gelu_tanh,
        Activation::Relu => return relu(x),
    };
    // One vectorised pass over the tensor's memory, where tensor operations would be scalar and make several.
    if host::on_host(&x.device()) { host::edit(x, 1, kernel) } else { by_tensor_operations(activation, x) }
}

/// `activation(gate) * up`.
fn activate_gated(activation: Activation, gate: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
    let kernel = match activation {
        Activation::Silu => kernels::gated_silu,
        Activation::Gelu => kernels::gated_gelu,
        Activation::GeluTanh => kernels::gated_gelu_tanh,
        Activation::Relu => return relu(gate) * up,
    };
    if host::on_host(&gate.device()) {
        host::edit_by(gate, up, kernel)
    } else {
        by_tensor_operations(activation, gate) * up
    }
}

fn by_tensor_operations(activation: Activation, x: Tensor<3>) -> Tensor<3> {
    match activation {
        Activation::Silu => silu(x),
        Activation::Gelu => gelu(x),
        // (1 + tanh(y)) / 2 is sigmoid(2 y).
        Activation::GeluTanh => {
            let y = (x.clone() + x.clone() * x.clone() * x.clone() * 0.044715) * (2.0 / std::f64::consts::PI).sqrt();
            x * sigmoid(y * 2.0)
        }
        Activation::Relu => relu(x),
    }
}
