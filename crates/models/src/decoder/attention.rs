//! Causal self-attention with grouped keys and values: [`Attention`].

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use rayon::prelude::*;
use stratigraph_core::{Hook, Result, Site, Tap, visit_heads};
use stratigraph_kernels as kernels;

use super::norm::AnyNorm;
use super::rotary::{Angles, Rotary};
use super::{host, linear};

/// Up to this many positions a CPU computes whole patterns in vectorised passes instead of fused attention; those of
/// longer windows do not fit its caches.
const MOST_ON_HOST: usize = 512;

/// Multi-head attention in which each key-value head serves `n_heads / n_kv_heads` query heads.
#[derive(Module, Debug)]
pub(super) struct Attention {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) query_norm: Option<AnyNorm>,
    pub(super) key_norm: Option<AnyNorm>,
    pub(super) n_heads: usize,
    pub(super) n_kv_heads: usize,
    pub(super) d_head: usize,
    /// The factor of the products of queries and keys.
    pub(super) scale: f64,
    /// How many keys a query sees, itself included; `None` for all before it.
    pub(super) window: Option<usize>,
    /// None when positions are learned.
    #[module(skip)]
    pub(super) rotary: Option<Rotary>,
}

impl Attention {
    /// What attention adds to the residual stream: normed `[batch, pos, d_model]` to `[batch, pos, d_model]`.
    ///
    /// Scores and pattern are computed as a whole when `tap` wants one of them, and on a CPU for short windows; otherwise
    /// burn's fused attention runs.
    pub(super) fn forward(&self, normed: Tensor<3>, site: Site, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        let [_, pos, _] = normed.dims();
        let device = normed.device();
        let angles = self.rotary.as_ref().map(|rotary| rotary.angles(pos, &device));
        let query = self.split(linear(&self.query, normed.clone()));
        let key = self.split(linear(&self.key, normed.clone()));
        let value = self.split(linear(&self.value, normed));
        let query = visit_heads(tap, site, Hook::Q, query)?;
        let key = visit_heads(tap, site, Hook::K, key)?;
        let value = visit_heads(tap, site, Hook::V, value)?;
        let query = by_heads(query, &self.query_norm, angles.as_ref());
        let key = by_heads(key, &self.key_norm, angles.as_ref());
        let value = by_heads(value, &None, None);
        let mixed = if tap.wants(site, Hook::AttnScores) || tap.wants(site, Hook::Pattern) {
            self.mixed(self.visited_pattern(query, key, site, tap)?, value)
        } else if host::on_host(&device) && pos <= MOST_ON_HOST {
            self.mixed(self.pattern(self.products(query, key), self.scale), value)
        } else {
            self.fused(query, key, value)
        };
        let joined = if tap.wants(site, Hook::Z) {
            let z = visit_heads(tap, site, Hook::Z, mixed.swap_dims(1, 2))?;
            let [batch, pos, ..] = z.dims();
            z.reshape([batch, pos, self.n_heads * self.d_head])
        } else {
            self.join(mixed)
        };
        Ok(linear(&self.output, joined))
    }

    /// `[batch, pos, heads * d_head]` to `[batch, pos, heads, d_head]`.
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, pos, width] = x.dims();
        x.reshape([batch, pos, width / self.d_head, self.d_head])
    }

    /// The products of queries and keys, `[batch, n_heads, query, key]`.
    fn products(&self, query: Tensor<4>, key: Tensor<4>) -> Tensor<4> {
        let [batch, _, pos, _] = query.dims();
        // The query heads that share a key head are rows of one product.
        let query = query.reshape([batch, self.n_kv_heads, self.n_heads / self.n_kv_heads * pos, self.d_head]);
        query.matmul(key.swap_dims(2, 3)).reshape([batch, self.n_heads, pos, pos])
    }

    /// Attention probabilities `[batch, n_heads, query, key]`: the softmax of `scale` times the scores over the keys
    /// that a query sees.
    fn pattern(&self, scores: Tensor<4>, scale: f64) -> Tensor<4> {
        let ([_, _, pos, _], device) = (scores.dims(), scores.device());
        if host::on_host(&device) {
            let (window, scale) = (self.window_within(pos), scale as f32);
            return host::edit(scores, pos * pos, |heads| kernels::causal_softmax(heads, pos, window, scale));
        }
        softmax(self.masked(scores * scale), 3)
    }

    /// The pattern, after the tap has seen the scores and the pattern.
    fn visited_pattern(&self, query: Tensor<4>, key: Tensor<4>, site: Site, tap: &mut dyn Tap) -> Result<Tensor<4>> {
        let products = self.products(query, key);
        let pattern = if tap.wants(site, Hook::AttnScores) {
            let scores = self.masked(products * self.scale);
            self.pattern(visit_heads(tap, site, Hook::AttnScores, scores)?, 1.0)
        } else {
            self.pattern(products, self.scale)
        };
        visit_heads(tap, site, Hook::Pattern, pattern)
    }

    /// Scores `[batch, n_heads, query, key]` with minus infinity where a query does not see a key.
    fn masked(&self, scores: Tensor<4>) -> Tensor<4> {
        let ([_, _, pos, _], device) = (scores.dims(), scores.device());
        // tril_mask is true where a key lies after its query.
        let future = Tensor::<2, Bool>::tril_mask([pos, pos], 0, &device);
        let unseen = match self.window_within(pos) {
            Some(window) => future.bool_or(before_window(pos, window, &device)),
            None => future,
        };
        let unseen = unseen.unsqueeze::<4>().expand(scores.dims());
        scores.mask_fill(unseen, f32::NEG_INFINITY)
    }

    /// The values that each query mixes by its pattern, `[batch, n_heads, pos, d_head]`.
    fn mixed(&self, pattern: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
        let [batch, n_heads, pos, _] = pattern.dims();
        let pattern = pattern.reshape([batch, self.n_kv_heads, n_heads / self.n_kv_heads * pos, pos]);
        pattern.matmul(value).reshape([batch, n_heads, pos, self.d_head])
    }

    /// The same by burn's fused attention, which does not keep a pattern.
    fn fused(&self, query: Tensor<4>, key: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
        let [batch, _, pos, _] = query.dims();
        let past = self.window_within(pos).map(|window| {
            let dims = [batch, self.n_heads, pos, pos];
            before_window(pos, window, &query.device()).unsqueeze::<4>().expand(dims)
        });
        let options = AttentionModuleOptions { scale: Some(self.scale), is_causal: true, ..Default::default() };
        attention(query, self.repeated(key), self.repeated(value), past, None, options)
    }

    /// How far back a query sees, where that is less than all `pos` positions.
    fn window_within(&self, pos: usize) -> Option<usize> {
        self.window.filter(|window| *window < pos)
    }

    /// Repeats each key-value head for its query heads; not every backend's fused attention supports shared heads.
    pub(super) fn repeated(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, heads, pos, d_head] = x.dims();
        let group = self.n_heads / heads;
        if group == 1 {
            return x;
        }
        let dims = [batch, heads, group, pos, d_head];
        x.unsqueeze_dim::<5>(2).expand(dims).reshape([batch, self.n_heads, pos, d_head])
    }

    /// `[batch, n_heads, pos, d_head]` to `[batch, pos, n_heads * d_head]`.
    fn join(&self, x: Tensor<4>) -> Tensor<3> {
        let ([batch, _, pos, d_head], device) = (x.dims(), x.device());
        let width = self.n_heads * d_head;
        if !host::on_host(&device) {
            return x.swap_dims(1, 2).reshape([batch, pos, width]);
        }
        let x = host::floats(x);
        let mut out = vec![0.0; batch * pos * width];
        let windows = out.par_chunks_mut(pos * width).zip(host::slice(&x).par_chunks(pos * width));
        windows.for_each(|(rows, heads)| kernels::join_heads(heads, pos, d_head, rows));
        Tensor::from_data(TensorData::new(out, [batch, pos, width]), &device)
    }
}

/// Queries, keys or values `[batch, pos, heads, d_head]`, normed and rotated if the model does so, as
/// `[batch, heads, pos, d_head]`.
fn by_heads(x: Tensor<4>, norm: &Option<AnyNorm>, angles: Option<&Angles>) -> Tensor<4> {
    let x = match norm {
        Some(norm) => norm.forward(x),
        None => x,
    };
    if host::on_host(&x.device()) {
        return heads_on_host(x, angles);
    }
    let x = match angles {
        Some(angles) => angles.rotate(x),
        None => x,
    };
    x.swap_dims(1, 2)
}

/// `[batch, pos, heads, d_head]` to `[batch, heads, pos, d_head]` in one pass over the tensor's memory, rotated on the way.
fn heads_on_host(x: Tensor<4>, angles: Option<&Angles>) -> Tensor<4> {
    let ([batch, pos, heads, d_head], device) = (x.dims(), x.device());
    let (x, angles) = (host::floats(x), angles.map(|angles| (angles.to_host(), angles.half())));
    let angles = angles.as_ref().map(|((cos, sin), half)| {
        let (cos, sin) = (host::slice(cos), host::slice(sin));
        kernels::Angles { cos, sin, half: *half }
    });
    let width = heads * d_head;
    let mut out = vec![0.0; batch * heads * pos * d_head];
    out.par_chunks_mut(pos * d_head).enumerate().for_each(|(index, out)| {
        let (window, head) = (index / heads, index % heads);
        let rows = &host::slice(&x)[window * pos * width..(window + 1) * pos * width];
        kernels::split_head(rows, width, head * d_head, d_head, angles, out);
    });
    Tensor::from_data(TensorData::new(out, [batch, heads, pos, d_head]), &device)
}

/// True `[query, key]` where a key lies `window` tokens or more before its query.
fn before_window(pos: usize, window: usize, device: &Device) -> Tensor<2, Bool> {
    // triu_mask is false from a diagonal upwards; a key is seen from the diagonal `1 - window` on.
    Tensor::<2, Bool>::triu_mask([pos, pos], 1 - window as i64, device)
}
