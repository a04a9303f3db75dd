//! What several tests share: a small causal model, a corpus, and how to compare findings.
#![allow(dead_code)] // each test binary uses a part of it

use std::ops::Range;

use approx::abs_diff_eq;
use burn::tensor::{Device, Int, Tensor, TensorData};
use stratigraph_core::{Hook, ModelShape, ResidualModel, Result, Site, Tap, TokenWindows, visit};
use stratigraph_profile::Profile;
use stratigraph_study::Findings;

/// Hooks of [`Small`].
const HOOKS: [Hook; 4] = [Hook::ResidPre, Hook::AttnOut, Hook::MlpOut, Hook::ResidPost];

/// A causal model: attention is the mean over earlier positions, and an MLP follows. Weights are fixed waves.
pub struct Small {
    shape: ModelShape,
    embedding: Tensor<2>,
    positions: Tensor<2>,
    layers: Vec<Layer>,
    unembedding: Tensor<2>,
}

struct Layer {
    attn: Tensor<2>,
    w_in: Tensor<2>,
    w_out: Tensor<2>,
}

impl Small {
    /// Three layers of width 32 over 60 tokens.
    pub fn new(device: &Device) -> Self {
        Self::of_shape(ModelShape::new(3, 32, 60), device)
    }

    pub fn of_shape(shape: ModelShape, device: &Device) -> Self {
        let shape = shape.with_n_ctx(128).with_d_mlp(2 * shape.d_model).with_hooks(HOOKS);
        let (width, d_mlp) = (shape.d_model, 2 * shape.d_model);
        let scale = 2.0 / (width as f32).sqrt();
        let weights = |dims, seed: usize| waves(dims, 1.0 + seed as f32 / 7.0, scale, device);
        let layer = |layer: usize| Layer {
            attn: weights([width, width], 3 * layer),
            w_in: weights([width, d_mlp], 3 * layer + 1),
            w_out: weights([d_mlp, width], 3 * layer + 2),
        };
        Self {
            shape,
            embedding: waves([shape.d_vocab, width], 0.37, 1.0, device),
            positions: waves([128, width], 0.11, 0.3, device),
            layers: (0..shape.n_layers).map(layer).collect(),
            unembedding: weights([width, shape.d_vocab], 100),
        }
    }
}

fn waves([rows, columns]: [usize; 2], frequency: f32, scale: f32, device: &Device) -> Tensor<2> {
    let value = |index: usize| ((index as f32 + 1.0) * frequency + (index as f32).sqrt()).sin() * scale;
    Tensor::from_data(TensorData::new((0..rows * columns).map(value).collect::<Vec<_>>(), [rows, columns]), device)
}

/// Row `t` averages positions up to `t`, `[1, pos, pos]`.
fn mean_over_earlier(pos: usize, device: &Device) -> Tensor<3> {
    let weight = |(t, s): (usize, usize)| if s <= t { 1.0 / (t + 1) as f32 } else { 0.0 };
    let weights: Vec<f32> = (0..pos * pos).map(|index| weight((index / pos, index % pos))).collect();
    Tensor::from_data(TensorData::new(weights, [1, pos, pos]), device)
}

/// `[batch, pos, width] @ [width, other]`.
fn times(x: Tensor<3>, weights: &Tensor<2>) -> Tensor<3> {
    let [batch, pos, width] = x.dims();
    let [_, other] = weights.dims();
    x.reshape([batch * pos, width]).matmul(weights.clone()).reshape([batch, pos, other])
}

fn normed(rows: Tensor<2>) -> Tensor<2> {
    let scale = (rows.clone().square().mean_dim(1) + 1e-6).sqrt();
    rows / scale
}

impl ResidualModel for Small {
    fn shape(&self) -> ModelShape {
        self.shape
    }

    fn device(&self) -> Device {
        self.embedding.device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Result<Tensor<3>> {
        let ([batch, pos], width) = (tokens.dims(), self.shape.d_model);
        let embedded = self.embedding.clone().select(0, tokens.reshape([batch * pos]));
        Ok(embedded.reshape([batch, pos, width]) + self.positions.clone().narrow(0, 0, pos).reshape([1, pos, width]))
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        let Layer { attn, w_in, w_out } = &self.layers[site.layer];
        let [_, pos, _] = resid.dims();
        let resid = visit(tap, site, Hook::ResidPre, resid)?;
        let attn_out = times(mean_over_earlier(pos, &resid.device()).matmul(resid.clone()), attn);
        let mid = resid + visit(tap, site, Hook::AttnOut, attn_out)?;
        let mlp_out = times(times(mid.clone(), w_in).tanh(), w_out);
        let resid = mid + visit(tap, site, Hook::MlpOut, mlp_out)?;
        visit(tap, site, Hook::ResidPost, resid)
    }

    fn final_norm(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        Ok(normed(rows))
    }

    fn unembed(&self, rows: Tensor<2>, vocab: Range<usize>) -> Result<Tensor<2>> {
        Ok(rows.matmul(self.unembedding.clone().slice_dim(1, vocab)))
    }
}

/// Seven windows of twelve tokens.
pub fn windows() -> TokenWindows {
    let ids: Vec<u32> = (0..7 * 12).map(|i| i * i * 7 % 60).collect();
    TokenWindows::new(&ids, 12).unwrap()
}

/// Checks that two studies found the same curves, but for the rounding of other batches.
#[track_caller]
pub fn assert_close(found: &Findings, expected: &Findings) {
    let profile = |findings: &Findings| findings.clone().into_profile_without_stages();
    assert_within(&profile(found), &profile(expected), 1e-5);
}

/// Checks that two profiles have the same curves, to within a tolerance relative to values above 1.
#[track_caller]
pub fn assert_within(found: &Profile, expected: &Profile, tolerance: f64) {
    assert!(!expected.curves.is_empty() && found.curves.keys().eq(expected.curves.keys()));
    for (name, b) in &expected.curves {
        let a = &found.curves[name];
        assert_eq!((a.mean.len(), a.replicates.len()), (b.mean.len(), b.replicates.len()));
        let replicates = a.replicates.iter().flatten().zip(b.replicates.iter().flatten());
        for (a, b) in a.mean.iter().zip(&b.mean).chain(replicates) {
            assert!(abs_diff_eq!(a, b, epsilon = tolerance * b.abs().max(1.0)), "{name}: {a} and {b}");
        }
    }
}
