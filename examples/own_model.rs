//! How is a model of your own studied? A small recurrent mixer that no checkpoint format knows implements the six methods
//! of `ResidualModel`; no decoder of this workspace takes part.

use anyhow::Result;
use stratigraph::burn::tensor::{Distribution, activation::tanh};
use stratigraph::prelude::*;

/// Each layer adds a squashed linear map of every position and the one before it.
struct Mixer {
    embedding: Tensor<2>,
    layers: Vec<Tensor<2>>,
}

impl ResidualModel for Mixer {
    fn shape(&self) -> ModelShape {
        let [d_vocab, d_model] = self.embedding.dims();
        ModelShape::new(self.layers.len(), d_model, d_vocab)
    }

    fn device(&self) -> Device {
        self.embedding.device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Result<Tensor<3>, CoreError> {
        let [batch, pos] = tokens.dims();
        Ok(self.embedding.clone().select(0, tokens.reshape([batch * pos])).reshape([batch, pos, self.d_model()]))
    }

    fn block(&self, site: Site, resid: Tensor<3>, _tap: &mut dyn Tap) -> Result<Tensor<3>, CoreError> {
        let [batch, pos, d_model] = resid.dims();
        let start = Tensor::zeros([batch, 1, d_model], &resid.device());
        let before = Tensor::cat(vec![start, resid.clone().narrow(1, 0, pos - 1)], 1);
        let mixed = (resid.clone() + before).matmul(self.layers[site.layer].clone().unsqueeze());
        Ok(resid + tanh(mixed))
    }

    fn final_norm(&self, rows: Tensor<2>) -> Result<Tensor<2>, CoreError> {
        Ok(rows) // it has none
    }

    fn unembed(&self, normed: Tensor<2>, vocab: std::ops::Range<usize>) -> Result<Tensor<2>, CoreError> {
        Ok(normed.matmul(self.embedding.clone().slice([vocab]).transpose()))
    }
}

fn main() -> Result<()> {
    let device = Backend::Flex.device()?;
    device.seed(1);
    let matrix = |rows, scale| Tensor::random([rows, 32], Distribution::Normal(0.0, scale), &device);
    let layers = (0..6).map(|layer| matrix(32, 0.5 / f64::from(layer + 1))).collect();
    let model = Mixer { embedding: matrix(100, 1.0), layers };
    let ids: Vec<u32> = (0..256).map(|i| (i * i + 7 * i) % 100).collect();
    let findings = Study::new(&model).add(Sweep::delete()).add(LogitLens).run(&TokenWindows::new(&ids, 32)?)?;
    for (name, curve) in findings.curves().iter().filter(|(name, _)| name.ends_with("_kl")) {
        println!("{name}: {:.4?} {}", curve.mean, curve.unit);
    }
    Ok(())
}
