//! Surgery on a model of one's own: a small recurrent mixer that no checkpoint format knows, swept layer by layer.
//!
//! Seven methods of `ResidualModel` are all that a model needs; no decoder of this workspace takes part.

use anyhow::Result;
use burn::tensor::activation::tanh;
use burn::tensor::{Device, Distribution, Int, Tensor};
use stratigraph::prelude::*;

/// Each layer mixes every position with the one before it, then adds a squashed linear map of the mixture.
struct Mixer {
    embedding: Tensor<2>,
    layers: Vec<Tensor<2>>,
}

impl Mixer {
    fn random(n_layers: usize, d_model: usize, d_vocab: usize, device: &Device) -> Self {
        let matrix = |rows, scale| Tensor::random([rows, d_model], Distribution::Normal(0.0, scale), device);
        Self {
            embedding: matrix(d_vocab, 1.0),
            layers: (0..n_layers).map(|layer| matrix(d_model, 0.5 / (layer + 1) as f64)).collect(),
        }
    }
}

impl ResidualModel for Mixer {
    fn n_layers(&self) -> usize {
        self.layers.len()
    }

    fn d_model(&self) -> usize {
        self.embedding.dims()[1]
    }

    fn d_vocab(&self) -> usize {
        self.embedding.dims()[0]
    }

    fn device(&self) -> Device {
        self.embedding.device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, pos] = tokens.dims();
        self.embedding.clone().select(0, tokens.reshape([batch * pos])).reshape([batch, pos, self.d_model()])
    }

    fn block(&self, site: Site, resid: Tensor<3>, _tap: &mut dyn Tap) -> Tensor<3> {
        let [batch, pos, d_model] = resid.dims();
        let start = Tensor::zeros([batch, 1, d_model], &resid.device());
        let before = Tensor::cat(vec![start, resid.clone().narrow(1, 0, pos - 1)], 1);
        let mixed = (resid.clone() + before).matmul(self.layers[site.layer].clone().unsqueeze());
        resid + tanh(mixed)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: std::ops::Range<usize>) -> Tensor<2> {
        normed.matmul(self.embedding.clone().slice([vocab]).transpose())
    }
}

fn main() -> Result<()> {
    let device = Backend::Flex.device()?;
    device.seed(1);
    let model = Mixer::random(6, 32, 100, &device);
    let ids: Vec<u32> = (0..256).map(|i| (i * i + 7 * i) % 100).collect();
    let findings = Study::new(&model).run(&TokenWindows::new(&ids, 32)?)?;
    println!("layer  delete KL  swap KL  lens KL (nats)");
    for layer in 0..model.n_layers() {
        let at = |name: &str| findings.curves[name].mean.get(layer).map_or(String::new(), |kl| format!("{kl:.4}"));
        println!("{layer:5}  {:>9}  {:>7}  {:>7}", at("delete_kl"), at("swap_kl"), at("lens_kl"));
    }
    Ok(())
}
