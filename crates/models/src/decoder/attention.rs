//! Causal self-attention with grouped keys and values: [`Attention`].

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor};
use stratigraph_core::{Hook, Site, Tap};

use super::norm::AnyNorm;
use super::rotary::Rotary;

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
    /// By what the products of queries and keys are multiplied.
    pub(super) scale: f64,
    /// How far back a query sees, itself included; None when all the way.
    pub(super) window: Option<usize>,
    /// None when positions are learned.
    #[module(skip)]
    pub(super) rotary: Option<Rotary>,
}

impl Attention {
    /// What attention adds to the residual stream: normed `[batch, pos, d_model]` to `[batch, pos, d_model]`.
    ///
    /// The pattern is computed only when `tap` wants it; otherwise burn's fused attention runs.
    pub(super) fn forward(&self, normed: Tensor<3>, site: Site, tap: &mut dyn Tap) -> Tensor<3> {
        let [batch, pos, _] = normed.dims();
        let (query, key) = self.query_and_key(normed.clone());
        let value = self.split(self.value.forward(normed), self.n_kv_heads).swap_dims(1, 2);
        let (key, value) = (self.repeat(key), self.repeat(value));
        let mixed = if tap.wants(site, Hook::Pattern) {
            tap.visit_pattern(site, self.pattern(query, key)).matmul(value)
        } else {
            let past = self.window.filter(|window| *window < pos).map(|window| {
                let dims = [batch, self.n_heads, pos, pos];
                before_window(pos, window, &query.device()).unsqueeze::<4>().expand(dims)
            });
            let options = AttentionModuleOptions { scale: Some(self.scale), is_causal: true, ..Default::default() };
            attention(query, key, value, past, None, options)
        };
        self.output.forward(mixed.swap_dims(1, 2).reshape([batch, pos, self.n_heads * self.d_head]))
    }

    /// Normed and rotated queries `[batch, n_heads, pos, d_head]` and keys `[batch, n_kv_heads, pos, d_head]`.
    fn query_and_key(&self, normed: Tensor<3>) -> (Tensor<4>, Tensor<4>) {
        let [_, pos, _] = normed.dims();
        let angles = self.rotary.as_ref().map(|rotary| rotary.angles(pos, &normed.device()));
        let place = |heads: Tensor<4>, norm: &Option<AnyNorm>| {
            let heads = match norm {
                Some(norm) => norm.forward(heads),
                None => heads,
            };
            let heads = match &angles {
                Some(angles) => angles.rotate(heads),
                None => heads,
            };
            heads.swap_dims(1, 2)
        };
        let query = self.split(self.query.forward(normed.clone()), self.n_heads);
        let key = self.split(self.key.forward(normed), self.n_kv_heads);
        (place(query, &self.query_norm), place(key, &self.key_norm))
    }

    /// `[batch, pos, heads * d_head]` to `[batch, pos, heads, d_head]`.
    fn split(&self, x: Tensor<3>, heads: usize) -> Tensor<4> {
        let [batch, pos, _] = x.dims();
        x.reshape([batch, pos, heads, self.d_head])
    }

    /// Repeats each key-value head for its query heads: `[batch, n_kv_heads, pos, d_head]` to `[batch, n_heads, ..]`.
    fn repeat(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, n_kv_heads, pos, d_head] = x.dims();
        if n_kv_heads == self.n_heads {
            return x;
        }
        let group = self.n_heads / n_kv_heads;
        x.unsqueeze_dim::<5>(2).expand([batch, n_kv_heads, group, pos, d_head]).reshape([
            batch,
            self.n_heads,
            pos,
            d_head,
        ])
    }

    /// Attention probabilities `[batch, heads, query, key]`: softmax of the scaled scores over what a query sees.
    fn pattern(&self, query: Tensor<4>, key: Tensor<4>) -> Tensor<4> {
        let [_, _, pos, _] = query.dims();
        let scores = query.matmul(key.swap_dims(2, 3)) * self.scale;
        let (dims, device) = (scores.dims(), scores.device());
        // tril_mask is true where a key lies after its query.
        let future = Tensor::<2, Bool>::tril_mask([pos, pos], 0, &device);
        let unseen = match self.window.filter(|window| *window < pos) {
            Some(window) => future.bool_or(before_window(pos, window, &device)),
            None => future,
        };
        softmax(scores.mask_fill(unseen.unsqueeze::<4>().expand(dims), f32::NEG_INFINITY), 3)
    }
}

/// True `[query, key]` where a key lies `window` tokens or more before its query.
fn before_window(pos: usize, window: usize, device: &Device) -> Tensor<2, Bool> {
    // triu_mask is false from a diagonal upwards; a key is seen from the diagonal `1 - window` on.
    Tensor::<2, Bool>::triu_mask([pos, pos], 1 - window as i64, device)
}
