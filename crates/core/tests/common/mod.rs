//! A model whose blocks are simple algebra, [`Toy`], and a tap that edits by arithmetic on single numbers, [`ByElement`].
#![allow(dead_code)] // each test file uses a part

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use stratigraph_core::{
    Activation, Hook, HookPoint, HookSet, ModelShape, Replacement, ResidualModel, Result, Site, Tap, TokenWindows,
    visit, visit_heads,
};

pub const N_LAYERS: usize = 3;
pub const D_MODEL: usize = 4;
pub const D_VOCAB: usize = 8;
pub const N_CTX: usize = 6;
pub const N_HEADS: usize = 2;
pub const D_HEAD: usize = 2;
pub const D_MLP: usize = 6;

/// Two heads, and an MLP of six neurons; no weights but what the layer's number gives.
#[derive(Default)]
pub struct Toy {
    /// How many times attention has run.
    pub attention_runs: AtomicUsize,
    /// How many times the MLP has run.
    pub mlp_runs: AtomicUsize,
}

impl Toy {
    fn attention(&self, site: Site, x: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        self.attention_runs.fetch_add(1, Ordering::Relaxed);
        let [batch, pos, _] = x.dims();
        let x = visit(tap, site, Hook::Ln1Normalized, x)?;
        let heads = |scale: f64| (x.clone() * scale).reshape([batch, pos, N_HEADS, D_HEAD]);
        let query = visit_heads(tap, site, Hook::Q, heads(site.layer as f64 + 1.0))?;
        let key = visit_heads(tap, site, Hook::K, heads(1.0))?;
        let value = visit_heads(tap, site, Hook::V, heads(0.5))?;
        let scores = query.swap_dims(1, 2).matmul(key.swap_dims(1, 2).transpose());
        let future = Tensor::<2, Bool>::tril_mask([pos, pos], 0, &scores.device());
        let scores = scores.mask_fill(future.unsqueeze::<4>().expand([batch, N_HEADS, pos, pos]), f32::NEG_INFINITY);
        let pattern = softmax(visit_heads(tap, site, Hook::AttnScores, scores)?, 3);
        let pattern = visit_heads(tap, site, Hook::Pattern, pattern)?;
        let z = pattern.matmul(value.swap_dims(1, 2)).swap_dims(1, 2);
        Ok(visit_heads(tap, site, Hook::Z, z)?.reshape([batch, pos, D_MODEL]))
    }

    fn mlp(&self, site: Site, x: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        self.mlp_runs.fetch_add(1, Ordering::Relaxed);
        let x = visit(tap, site, Hook::Ln2Normalized, x)?;
        let pre = Tensor::cat(vec![x.clone(), x.narrow(2, 0, D_MLP - D_MODEL)], 2) - 0.25 * site.layer as f64;
        let pre = visit(tap, site, Hook::MlpPre, pre)?;
        let post = visit(tap, site, Hook::MlpPost, relu(pre))?;
        Ok(post.clone().narrow(2, 0, D_MODEL) + post.narrow(2, D_MLP - D_MODEL, D_MODEL) * 0.5)
    }
}

/// Adds what a sublayer writes, or what the tap puts in its place.
fn add_sublayer(
    resid: Tensor<3>,
    (site, hook): (Site, Hook),
    tap: &mut dyn Tap,
    run: impl FnOnce(&mut dyn Tap) -> Result<Tensor<3>>,
) -> Result<Tensor<3>> {
    let asked = if tap.wants(site, hook) { tap.replacement(site, hook, resid.dims())? } else { None };
    match asked {
        Some(Replacement::Zero) => Ok(resid),
        Some(Replacement::Values(values)) => Ok(resid + values.wide(hook.at(site.slot))?),
        None => {
            let out = run(tap)?;
            Ok(resid + visit(tap, site, hook, out)?)
        }
    }
}

impl ResidualModel for Toy {
    fn shape(&self) -> ModelShape {
        ModelShape::new(N_LAYERS, D_MODEL, D_VOCAB)
            .with_n_ctx(N_CTX)
            .with_heads(N_HEADS, N_HEADS, D_HEAD)
            .with_d_mlp(D_MLP)
            .with_hooks(HookSet::all())
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Result<Tensor<3>> {
        let [batch, pos] = tokens.dims();
        let ids: Vec<i64> = tokens.try_into_vec_as().unwrap();
        let numbers = |id: i64| (0..D_MODEL as i64).map(move |unit| ((id * 7 + unit * 3) as f32 * 0.9).sin());
        let values: Vec<f32> = ids.into_iter().flat_map(numbers).collect();
        Ok(Tensor::from_data(TensorData::new(values, [batch, pos, D_MODEL]), &self.device()))
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        let resid = visit(tap, site, Hook::ResidPre, resid)?;
        let x = resid.clone();
        let resid = add_sublayer(resid, (site, Hook::AttnOut), tap, |tap| self.attention(site, x, tap))?;
        let resid = visit(tap, site, Hook::ResidMid, resid)?;
        let x = resid.clone();
        let resid = add_sublayer(resid, (site, Hook::MlpOut), tap, |tap| self.mlp(site, x, tap))?;
        visit(tap, site, Hook::ResidPost, resid)
    }

    fn final_norm(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        Ok(rows * 2.0)
    }

    /// Token `t` has the logit of unit `t % d_model`.
    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Result<Tensor<2>> {
        Ok(Tensor::cat(vec![normed.clone(), normed], 1).slice_dim(1, vocab))
    }
}

/// Two windows of five tokens.
pub fn windows() -> TokenWindows {
    TokenWindows::new(&[1, 5, 2, 7, 0, 3, 3, 6, 4, 1], 5).unwrap()
}

pub fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.try_into_vec_as().unwrap()
}

#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        assert!(difference <= 1e-5 * expected.abs().max(1.0), "at {index}: {found}, expected {expected}");
    }
}

/// Changes each number of the activation at a point by a function of its index, `[i, j, k, l]` (`l` is 0 where there are
/// three axes), and its value.
pub struct ByElement<F> {
    pub point: HookPoint,
    pub change: F,
}

impl<F: Fn([usize; 4], f32) -> f32> Tap for ByElement<F> {
    fn hooks(&self) -> HookSet {
        [self.point.hook].into()
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        hook.at(site.slot) == self.point
    }

    fn visit(&mut self, _site: Site, _hook: Hook, activation: Activation) -> Result<Activation> {
        let (dims, device) = (activation.dims(), activation.device());
        let index = |flat: usize| match dims[..] {
            [_, b, c] => [flat / (b * c), flat / c % b, flat % c, 0],
            [_, b, c, d] => [flat / (b * c * d), flat / (c * d) % b, flat / d % c, flat % d],
            _ => unreachable!("an activation has three or four axes"),
        };
        let values = activation.to_vec().into_iter().enumerate();
        let values: Vec<f32> = values.map(|(flat, value)| (self.change)(index(flat), value)).collect();
        let data = TensorData::new(values, dims.clone());
        Ok(match dims.len() {
            3 => Tensor::<3>::from_data(data, &device).into(),
            _ => Tensor::<4>::from_data(data, &device).into(),
        })
    }
}
