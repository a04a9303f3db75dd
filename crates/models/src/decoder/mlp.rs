//! The gated MLP: [`GatedMlp`].

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use stratigraph_core::{Hook, Site, Tap};

use super::block::visit;
use crate::Activation;

/// `down(activation(gate(x)) * up(x))`.
#[derive(Module, Debug)]
pub(super) struct GatedMlp {
    pub(super) gate: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
    #[module(skip)]
    pub(super) activation: Activation,
}

impl GatedMlp {
    /// What the MLP adds to the residual stream: normed `[batch, pos, d_model]` to `[batch, pos, d_model]`.
    pub(super) fn forward(&self, normed: Tensor<3>, site: Site, tap: &mut dyn Tap) -> Tensor<3> {
        let gate = match self.activation {
            Activation::Silu => silu(self.gate.forward(normed.clone())),
        };
        let post = visit(tap, site, Hook::MlpPost, gate * self.up.forward(normed));
        self.down.forward(post)
    }
}
