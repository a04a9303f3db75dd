//! The MLP of a block, [`AnyMlp`]: one MLP, plain or gated ([`FeedForward`]), or a mixture of them.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, relu, sigmoid, silu};
use stratigraph_core::{Hook, Result, Site, Tap, visit};
use stratigraph_kernels as kernels;

use super::experts::Mixture;
use super::host;
use super::linear::{Linear, linear, linear_each};
use crate::Activation;

/// What a block has for an MLP.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // a block has one, and none is moved about
pub(super) enum AnyMlp {
    One(FeedForward),
    Mixture(Mixture),
}

impl AnyMlp {
    /// What the MLP adds to the residual stream: normed `[batch, pos, d_model]` to `[batch, pos, d_model]`.
    pub(super) fn forward(&self, normed: Tensor<3>, site: Site, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        match self {
            AnyMlp::One(mlp) => mlp.forward(normed, site, tap),
            AnyMlp::Mixture(mixture) => mixture.forward(normed, site, tap),
        }
    }

    /// Its maps.
    pub(super) fn maps(&self) -> Vec<&Linear> {
        match self {
            AnyMlp::One(mlp) => mlp.maps().collect(),
            AnyMlp::Mixture(mixture) => mixture.maps(),
        }
    }

    /// The output weights of its neurons, `[d_mlp, d_model]`.
    pub(super) fn w_out(&self) -> Tensor<2> {
        match self {
            AnyMlp::One(mlp) => mlp.down.matrix(),
            AnyMlp::Mixture(mixture) => mixture.w_out(),
        }
    }
}

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
        let Neurons { pre, up } = self.neurons(normed);
        let post = self.activated(visit(tap, site, Hook::MlpPre, pre)?, up);
        Ok(linear(&self.down, visit(tap, site, Hook::MlpPost, post)?))
    }

    /// The neurons before the nonlinearity.
    pub(super) fn neurons(&self, x: Tensor<3>) -> Neurons {
        match &self.gate {
            Some(gate) => {
                let [pre, up] = linear_each([gate, &self.up], x);
                Neurons { pre, up: Some(up) }
            }
            None => Neurons { pre: linear(&self.up, x), up: None },
        }
    }

    /// Its maps.
    pub(super) fn maps(&self) -> impl Iterator<Item = &Linear> {
        self.gate.iter().chain([&self.up, &self.down])
    }

    /// How many neurons it has.
    pub(super) fn n_neurons(&self) -> usize {
        let [d_mlp, _] = self.down.dims();
        d_mlp
    }

    /// What enters `down`.
    pub(super) fn activated(&self, pre: Tensor<3>, up: Option<Tensor<3>>) -> Tensor<3> {
        match up {
            Some(up) => activate_gated(self.activation, pre, up),
            None => activate(self.activation, pre),
        }
    }
}

/// Neurons before the nonlinearity, and what their gate is multiplied by, if they have one.
pub(super) struct Neurons {
    pub(super) pre: Tensor<3>,
    pub(super) up: Option<Tensor<3>>,
}

fn activate(activation: Activation, x: Tensor<3>) -> Tensor<3> {
    let kernel = match activation {
        Activation::Silu => kernels::silu,
        Activation::Gelu => kernels::gelu,
        Activation::GeluTanh => kernels::gelu_tanh,
        _ => return by_tensor_operations(activation, x),
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
        Activation::ClampedSwish { alpha, limit } => {
            let gate = gate.clamp_max(limit);
            let slope = sigmoid(gate.clone() * alpha);
            return gate * slope * (up.clamp(-limit, limit) + 1.0);
        }
        _ => return by_tensor_operations(activation, gate) * up,
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
        Activation::Relu2 => relu(x).square(),
        Activation::ClampedSwish { .. } => unreachable!("a valid configuration has it only with a gate"),
    }
}
