//! Causal self-attention with grouped keys and values: [`Attention`].

mod heads;
mod past;
mod scores;

use burn::module::{Module, Param};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use stratigraph_core::{Hook, Result, Site, Tap, is_host_device, visit_heads};
use stratigraph_kernels as kernels;

use self::heads::by_heads;
pub(super) use self::heads::{EachHead, HeadNorm};
use self::past::Pair;
pub(super) use self::past::{KeyValues, Past};
pub(super) use self::scores::{Alibi, KeptScoring};
use super::host;
use super::linear::{Linear, linear, linear_each};
use super::rotary::Rotary;
use crate::QueryScaling;

/// Up to this many positions a CPU computes whole patterns in vectorised passes instead of fused attention; those of
/// longer windows do not fit its caches.
const MOST_ON_HOST: usize = 512;

/// Multi-head attention in which `n_heads / n_kv_heads` query heads share a key-value head.
#[derive(Module, Debug)]
pub(super) struct Attention {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) query_norm: Option<HeadNorm>,
    pub(super) key_norm: Option<HeadNorm>,
    /// A score for each head that attends to nothing, `[n_heads]`.
    pub(super) sinks: Option<Param<Tensor<1>>>,
    pub(super) n_heads: usize,
    pub(super) n_kv_heads: usize,
    pub(super) d_head: usize,
    #[module(skip)]
    pub(super) scoring: Scoring,
    /// None when queries and keys are not rotated.
    #[module(skip)]
    pub(super) rotary: Option<Rotary>,
}

/// How scores are computed from queries and keys, apart from their norms and rotation.
#[derive(Debug, Clone)]
pub(super) struct Scoring {
    /// The factor of the products of queries and keys.
    pub(super) scale: f64,
    /// Queries, keys and values are clipped to this absolute value, those that are normed after their norm.
    pub(super) clip: Option<f64>,
    /// Scores are kept between minus this and this.
    pub(super) soft_cap: Option<f64>,
    /// How many keys a query sees, itself included; `None` for all before it.
    pub(super) window: Option<usize>,
    /// What is added to scores for the positions of query and key.
    pub(super) alibi: Option<Alibi>,
    /// A factor of queries that grows with their position.
    pub(super) query_scaling: Option<QueryScaling>,
    pub(super) kept: KeptScoring,
}

impl Attention {
    /// What attention adds to the residual stream: normed `[batch, pos, d_model]` to `[batch, pos, d_model]`. With a `past`
    /// these are the positions that follow it.
    ///
    /// Scores and pattern are computed as a whole: query heads that share a key head are rows of one product. On a CPU long
    /// windows run burn's attention in parts, which keeps no pattern, unless `tap` wants scores or pattern, there are sinks or a
    /// past, or queries or keys are not finite. On other devices burn 0.22.1 would copy keys and values for each query head, and
    /// compute the same products.
    pub(super) fn forward(
        &self,
        normed: Tensor<3>,
        site: Site,
        past: Option<Past>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor<3>> {
        let [_, pos, _] = normed.dims();
        let device = normed.device();
        let first = past.as_ref().map_or(0, |past| past.first);
        let angles = self.rotary.as_ref().map(|rotary| rotary.angles(first..first + pos, &device));
        let [query, key, value] = linear_each([&self.query, &self.key, &self.value], normed);
        let query = self.split(query, &self.query_norm);
        let key = self.split(key, &self.key_norm);
        let value = self.split(value, &None);
        let query = visit_heads(tap, site, Hook::Q, query)?;
        let key = visit_heads(tap, site, Hook::K, key)?;
        let value = visit_heads(tap, site, Hook::V, value)?;
        let query = by_heads(self.normed(query, &self.query_norm), angles.as_ref());
        let query = self.scaled_by_position(query, first);
        let key = by_heads(self.normed(key, &self.key_norm), angles.as_ref());
        let new = Pair { key, value: by_heads(value, None) };
        let all = match past {
            Some(past) => past.followed_by(site.layer, new)?,
            None => new,
        };
        let mixed = if tap.wants(site, Hook::AttnScores) || tap.wants(site, Hook::Pattern) {
            self.mixed(self.visited_pattern(query, all.key, site, tap)?, all.value)
        } else if self.sinks.is_some()
            || first > 0
            || in_one_piece(&device, pos)
            || !all_finite_on_host([&query, &all.key])
        {
            let Pair { key, value } = self.seen(all, pos);
            self.mixed(self.pattern(self.products(query, key)), value)
        } else {
            self.fused(query, all.key, all.value)
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

    /// `[batch, pos, heads * d_head]` to `[batch, pos, heads, d_head]`, clipped unless that comes after a norm.
    fn split(&self, x: Tensor<3>, norm: &Option<HeadNorm>) -> Tensor<4> {
        let [batch, pos, width] = x.dims();
        let x = x.reshape([batch, pos, width / self.d_head, self.d_head]);
        if norm.is_none() { self.clipped(x) } else { x }
    }

    /// Queries or keys after their norm, if they have one, and clipped there.
    fn normed(&self, x: Tensor<4>, norm: &Option<HeadNorm>) -> Tensor<4> {
        match norm {
            Some(norm) => self.clipped(norm.forward(x)),
            None => x,
        }
    }

    /// Queries, keys or values, clipped where the model does so.
    fn clipped(&self, x: Tensor<4>) -> Tensor<4> {
        match self.scoring.clip {
            Some(clip) => x.clamp(-clip, clip),
            None => x,
        }
    }

    /// Without the keys that none of the last `pos` positions sees. ALiBi may depend on where a key stands among all.
    fn seen(&self, all: Pair, pos: usize) -> Pair {
        let [_, _, keys, _] = all.key.dims();
        let window = self.scoring.window.filter(|_| self.scoring.alibi.is_none());
        match window.map(|window| window + pos - 1) {
            Some(seen) if seen < keys => all.narrow(keys - seen..keys),
            _ => all,
        }
    }

    /// The products of queries and keys, `[batch, n_heads, query, key]`. The queries are those of the last positions.
    fn products(&self, query: Tensor<4>, key: Tensor<4>) -> Tensor<4> {
        let ([batch, _, pos, _], [_, _, keys, _]) = (query.dims(), key.dims());
        // The query heads that share a key head are rows of one product.
        let query = query.reshape([batch, self.n_kv_heads, self.n_heads / self.n_kv_heads * pos, self.d_head]);
        query.matmul(key.swap_dims(2, 3)).reshape([batch, self.n_heads, pos, keys])
    }

    /// The pattern, after the tap has seen the scores and the pattern.
    fn visited_pattern(&self, query: Tensor<4>, key: Tensor<4>, site: Site, tap: &mut dyn Tap) -> Result<Tensor<4>> {
        let products = self.products(query, key);
        let pattern = if tap.wants(site, Hook::AttnScores) {
            let scores = self.masked(self.scores(products));
            self.softmax(visit_heads(tap, site, Hook::AttnScores, scores)?, 1.0)
        } else {
            self.pattern(products)
        };
        visit_heads(tap, site, Hook::Pattern, pattern)
    }

    /// The values that each query mixes by its pattern, `[batch, n_heads, pos, d_head]`.
    fn mixed(&self, pattern: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
        let [batch, n_heads, pos, keys] = pattern.dims();
        let pattern = pattern.reshape([batch, self.n_kv_heads, n_heads / self.n_kv_heads * pos, keys]);
        pattern.matmul(value).reshape([batch, n_heads, pos, self.d_head])
    }

    /// The same by burn's fused attention, which does not keep a pattern.
    fn fused(&self, query: Tensor<4>, key: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
        let ([batch, _, pos, _], device) = (query.dims(), query.device());
        let dims = [batch, self.n_heads, pos, pos];
        let past = self
            .window_within(pos)
            .map(|window| before_window([pos, pos], window, &device).unsqueeze::<4>().expand(dims));
        let bias = self.scoring.alibi.map(|alibi| self.alibi(alibi, [pos, pos], &device).expand(dims));
        let options =
            AttentionModuleOptions { scale: Some(self.scoring.scale), softcap: self.scoring.soft_cap, is_causal: true };
        attention(query, self.repeated(key), self.repeated(value), past, bias, options)
    }

    /// How far back a query sees, where that is less than all `n_keys` keys.
    fn window_within(&self, n_keys: usize) -> Option<usize> {
        self.scoring.window.filter(|window| *window < n_keys)
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
        let heads = host::slice(&x);
        host::for_chunks(&mut out, pos * width, |window, rows| {
            kernels::join_heads(&heads[window * pos * width..][..pos * width], pos, d_head, rows);
        });
        Tensor::from_data(TensorData::new(out, [batch, pos, width]), &device)
    }
}

/// Whether patterns of `pos` positions are computed as a whole, where nothing else asks for it.
fn in_one_piece(device: &Device, pos: usize) -> bool {
    !is_host_device(device) || (host::on_host(device) && pos <= MOST_ON_HOST)
}

/// Whether queries and keys in the host's memory are finite; those of other devices count as finite. In long windows, burn-flex
/// 0.22.1 takes keys whose scores are all NaN for keys that the query does not see.
fn all_finite_on_host(tensors: [&Tensor<4>; 2]) -> bool {
    let is_finite = |x: &Tensor<4>| x.clone().sum().into_scalar::<f32>().is_finite();
    !host::on_host(&tensors[0].device()) || tensors.into_iter().all(is_finite)
}

/// True `[query, key]` where a key lies `window` tokens or more before its query. The queries are those of the last keys.
fn before_window([queries, keys]: [usize; 2], window: usize, device: &Device) -> Tensor<2, Bool> {
    let first = (keys - queries) as i64;
    // triu_mask is false from a diagonal upwards; a query sees keys from the diagonal `1 - window` of its own key on.
    Tensor::<2, Bool>::triu_mask([queries, keys], 1 - window as i64 + first, device)
}
