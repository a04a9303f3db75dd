//! MLPs by tensor operations: [`activated`] neurons, and a mixture whose experts all run ([`mixed`]).

use burn::tensor::Tensor;
use burn::tensor::activation::{gelu, relu, sigmoid, silu, softmax};
use stratigraph_testing::host;

use super::super::experts::{Mixture, Shared};
use super::super::linear::linear;
use super::super::mlp::FeedForward;
use crate::{Activation, Weighting};

/// What enters `down`, of the neurons before the nonlinearity and what their gate is multiplied by.
pub(super) fn activated(mlp: &FeedForward, pre: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
    let active = match mlp.activation {
        Activation::Silu => silu(pre),
        Activation::Gelu => gelu(pre),
        Activation::GeluTanh => {
            let inner = (pre.clone() + pre.clone().powi_scalar(3) * 0.044715) * (2.0 / std::f64::consts::PI).sqrt();
            pre * (inner.tanh() + 1.0) * 0.5
        }
        Activation::Relu => relu(pre),
        Activation::Relu2 => relu(pre.clone()) * pre,
        Activation::ClampedSwish { alpha, limit } => {
            let gate = pre.clamp_max(limit);
            return gate.clone() * sigmoid(gate * alpha) * (up.clamp(-limit, limit) + 1.0);
        }
    };
    if mlp.gate.is_some() { active * up } else { active }
}

fn run(mlp: &FeedForward, x: Tensor<3>) -> Tensor<3> {
    let up = linear(&mlp.up, x.clone());
    let pre = mlp.gate.as_ref().map_or(up.clone(), |gate| linear(gate, x));
    linear(&mlp.down, activated(mlp, pre, up))
}

/// What a mixture writes for `[batch, pos, d_model]`, with every expert run on every position.
pub(super) fn mixed(mixture: &Mixture, x: Tensor<3>) -> Tensor<3> {
    let probabilities = softmax(linear(&mixture.router, x.clone()), 2);
    let [batch, pos, n_experts] = probabilities.dims();
    let weights: Vec<f32> = host(probabilities).chunks(n_experts).flat_map(|row| weights_of(mixture, row)).collect();
    let weights = Tensor::<1>::from_floats(&weights[..], &x.device()).reshape([batch, pos, n_experts]);
    let mut out = x.zeros_like();
    for (index, expert) in mixture.experts.iter().enumerate() {
        out = out + run(expert, x.clone()) * weights.clone().narrow(2, index, 1);
    }
    match &mixture.shared {
        Some(Shared { mlp, weight }) => out + run(mlp, x.clone()) * sigmoid(linear(weight, x)),
        None => out,
    }
}

/// The probabilities of the chosen experts, and 0 for the others.
fn weights_of(mixture: &Mixture, row: &[f32]) -> Vec<f32> {
    let mut sorted = row.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let least = sorted[mixture.n_active - 1];
    let sum: f32 = match mixture.weighting {
        Weighting::Softmax => 1.0,
        Weighting::Renormalized => sorted[..mixture.n_active].iter().sum(),
    };
    row.iter().map(|p| if *p >= least { p / sum } else { 0.0 }).collect()
}
