//! A model whose blocks are simple algebra and that counts what it runs: [`Toy`].

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use stratigraph_core::{
    Hook, HookSet, ModelShape, Replacement, ResidualModel, Result, Site, Tap, TokenWindows, visit, visit_heads,
};

/// Layers.
pub const N_LAYERS: usize = 3;
/// The width of the residual stream.
pub const D_MODEL: usize = 4;
/// Tokens of the vocabulary.
pub const D_VOCAB: usize = 8;
/// The longest window.
pub const N_CTX: usize = 6;
/// Attention heads of a layer.
pub const N_HEADS: usize = 2;
/// The width of a head.
pub const D_HEAD: usize = 2;
/// MLP neurons of a layer.
pub const D_MLP: usize = 6;

/// Two heads, and an MLP of six neurons; no weights but what the layer's number gives.
#[derive(Default)]
pub struct Toy {
    attention_runs: AtomicUsize,
    mlp_runs: AtomicUsize,
}

/// How many times the sublayers of a [`Toy`] have run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SublayerRuns {
    /// Attention, over all layers.
    pub attention: usize,
    /// The MLP, over all layers.
    pub mlp: usize,
}

impl SublayerRuns {
    /// These numbers of runs.
    pub fn new(attention: usize, mlp: usize) -> Self {
        Self { attention, mlp }
    }
}

impl Toy {
    /// How many times attention and the MLP have run since the last call.
    pub fn take_runs(&self) -> SublayerRuns {
        let [attention, mlp] = [&self.attention_runs, &self.mlp_runs].map(|runs| runs.swap(0, Ordering::Relaxed));
        SublayerRuns { attention, mlp }
    }

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

/// Its norms divide by nothing, and its MLPs are no mixtures.
const MISSING: [Hook; 4] = [Hook::Ln1Scale, Hook::Ln2Scale, Hook::ExpertWeights, Hook::ExpertIndices];

impl ResidualModel for Toy {
    fn shape(&self) -> ModelShape {
        ModelShape::new(N_LAYERS, D_MODEL, D_VOCAB)
            .with_n_ctx(N_CTX)
            .with_heads(N_HEADS, N_HEADS, D_HEAD)
            .with_d_mlp(D_MLP)
            .with_hooks(HookSet::all().minus(MISSING))
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
///
/// # Panics
/// Never.
pub fn windows() -> TokenWindows {
    TokenWindows::new(&[1, 5, 2, 7, 0, 3, 3, 6, 4, 1], 5).expect("two whole windows")
}
