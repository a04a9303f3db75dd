//! Causal self-attention with grouped keys and values: [`Attention`].

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor};
use stratigraph_core::{Hook, Site, Tap};

use super::rotary::Rotary;

/// Multi-head attention in which each key-value head serves `n_heads / n_kv_heads` query heads.
#[derive(Module, Debug)]
pub(super) struct Attention {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) n_heads: usize,
    pub(super) n_kv_heads: usize,
    pub(super) d_head: usize,
    #[module(skip)]
    pub(super) rotary: Rotary,
}

impl Attention {
    /// What attention adds to the residual stream: normed `[batch, pos, d_model]` to `[batch, pos, d_model]`.
    ///
    /// The pattern is computed only when `tap` wants it; otherwise burn's fused attention runs.
    pub(super) fn forward(&self, normed: Tensor<3>, site: Site, tap: &mut dyn Tap) -> Tensor<3> {
        let [batch, pos, _] = normed.dims();
        let angles = self.rotary.angles(pos, &normed.device());
        let query = angles.rotate(self.split(self.query.forward(normed.clone()), self.n_heads)).swap_dims(1, 2);
        let key = angles.rotate(self.split(self.key.forward(normed.clone()), self.n_kv_heads)).swap_dims(1, 2);
        let value = self.split(self.value.forward(normed), self.n_kv_heads).swap_dims(1, 2);
        let (key, value) = (self.repeat(key), self.repeat(value));
        let mixed = if tap.wants(site, Hook::Pattern) {
            tap.visit_pattern(site, pattern(query, key)).matmul(value)
        } else {
            let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
            attention(query, key, value, None, None, options)
        };
        self.output.forward(mixed.swap_dims(1, 2).reshape([batch, pos, self.n_heads * self.d_head]))
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
}

/// Attention probabilities `[batch, heads, query, key]`: causal softmax of the scaled scores.
fn pattern(query: Tensor<4>, key: Tensor<4>) -> Tensor<4> {
    let [_, _, pos, d_head] = query.dims();
    let scores = query.matmul(key.swap_dims(2, 3)) / (d_head as f64).sqrt();
    // tril_mask is true where a key lies after its query.
    let future = Tensor::<2, Bool>::tril_mask([pos, pos], 0, &scores.device());
    let dims = scores.dims();
    softmax(scores.mask_fill(future.unsqueeze::<4>().expand(dims), f32::NEG_INFINITY), 3)
}
