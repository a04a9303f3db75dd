//! The gated MLP: [`GatedMlp`].

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use rayon::prelude::*;
use stratigraph_core::{Hook, Site, Tap, lies_in_host_memory};
use stratigraph_kernels::gated_silu;

use super::visit;
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
        let (gate, up) = (self.gate.forward(normed.clone()), self.up.forward(normed));
        let Activation::Silu = self.activation;
        let device = gate.device();
        let post = if lies_in_host_memory(&device) && !device.is_autodiff() {
            gated_silu_on_host(gate, up)
        } else {
            silu(gate) * up
        };
        self.down.forward(visit(tap, site, Hook::MlpPost, post))
    }
}

/// `silu(gate) * up` in one vectorised pass over the gate's memory, where tensor operations would take two scalar ones.
fn gated_silu_on_host(gate: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
    /// Numbers that one task takes.
    const CHUNK: usize = 1 << 15;
    let device = gate.device();
    let (mut gate, up) = (gate.into_data_as::<f32>(), up.into_data_as::<f32>());
    let gates = gate.as_mut_slice::<f32>().expect("it was read as f32");
    let ups = up.as_slice::<f32>().expect("it was read as f32");
    gates.par_chunks_mut(CHUNK).zip(ups.par_chunks(CHUNK)).for_each(|(gate, up)| gated_silu(gate, up));
    Tensor::from_data(gate, &device)
}
