//! Each activation follows from the ones before it by the weights, and reading activations changes nothing.

use burn::tensor::activation::{gelu, relu, silu};
use burn::tensor::{Device, Tensor};
use stratigraph_core::{ActivationCache, Hook, HookSet, NoTap, ResidualModel, RunModel};
use stratigraph_testing::{FAMILIES, host};

use super::super::block::Block;
use super::super::norm::AnyNorm;
use super::super::{Decoder, linear};
use super::{SEQ_LEN, close, load, windows};
use crate::{Activation, Residual};

fn after_norm(norm: &Option<AnyNorm>, x: Tensor<3>) -> Tensor<3> {
    norm.as_ref().map_or(x.clone(), |norm| norm.forward(x))
}

/// A model, what a run of it shows, and a layer to look at.
struct Shown<'a> {
    name: String,
    block: &'a Block,
    cache: &'a ActivationCache,
    layer: usize,
}

impl Shown<'_> {
    fn wide(&self, hook: Hook) -> Tensor<3> {
        self.cache.tensor(hook.at(self.layer)).unwrap()
    }

    fn heads(&self, hook: Hook) -> Tensor<4> {
        self.cache.heads(hook.at(self.layer)).unwrap()
    }

    #[track_caller]
    fn is(&self, hook: Hook, expected: Tensor<3>) {
        close(&format!("{} {hook}", self.name), &host(self.wide(hook)), &host(expected));
    }

    /// Scales by tensor operations, in f64 where rows are summed.
    fn check_scales(&self) {
        let mut norms = vec![(Hook::Ln1Scale, Hook::Ln1Normalized, &self.block.attn_norm, self.wide(Hook::ResidPre))];
        if let Some(norm) = &self.block.mlp_norm {
            let entering = if self.block.side_by_side { Hook::ResidPre } else { Hook::ResidMid };
            norms.push((Hook::Ln2Scale, Hook::Ln2Normalized, norm, self.wide(entering)));
        }
        for (hook, normalized, norm, entering) in norms {
            let [batch, pos, width] = entering.dims();
            let (rows, n) = (host(entering.clone()), width as f64);
            let scale = |row: &[f32]| {
                let (centre, epsilon) = match norm {
                    AnyNorm::Layer(norm) => (row.iter().map(|x| f64::from(*x)).sum::<f64>() / n, norm.epsilon),
                    AnyNorm::Rms(norm) => (0.0, norm.epsilon),
                };
                let squares: f64 = row.iter().map(|x| (f64::from(*x) - centre).powi(2)).sum();
                (squares / n + epsilon).sqrt() as f32
            };
            let expected: Vec<f32> = rows.chunks(width).map(scale).collect();
            let scales = self.wide(hook);
            assert_eq!(scales.dims(), [batch, pos, 1], "{} {hook}", self.name);
            close(&format!("{} {hook}", self.name), &host(scales.clone()), &expected);
            // Without bias, the normed rows are the rows over these divisors, times the gain.
            let AnyNorm::Rms(rms) = norm else { continue };
            self.is(normalized, entering / scales * rms.gamma.val().unsqueeze());
        }
    }

    fn check_projections(&self) {
        let attn = &self.block.attn;
        self.is(Hook::Ln1Normalized, self.block.attn_norm.forward(self.wide(Hook::ResidPre)));
        let normed = self.wide(Hook::Ln1Normalized);
        for (hook, map, n) in [
            (Hook::Q, &attn.query, attn.n_heads),
            (Hook::K, &attn.key, attn.n_kv_heads),
            (Hook::V, &attn.value, attn.n_kv_heads),
        ] {
            let heads = self.heads(hook);
            assert_eq!(heads.dims(), [2, SEQ_LEN, n, attn.d_head], "{} {hook}", self.name);
            close(&format!("{} {hook}", self.name), &host(heads), &host(linear(map, normed.clone())));
        }
    }

    /// Scores by tensor operations, and masked one by one.
    fn check_scores(&self) {
        let attn = &self.block.attn;
        let angles = attn.rotary.as_ref().map(|rotary| rotary.angles(SEQ_LEN, &Device::flex()));
        let turned = |x: Tensor<4>, norm: &Option<AnyNorm>| {
            let x = norm.as_ref().map_or(x.clone(), |norm| norm.forward(x));
            angles.as_ref().map_or(x.clone(), |angles| angles.rotate(x)).swap_dims(1, 2)
        };
        let (query, key) = (turned(self.heads(Hook::Q), &attn.query_norm), turned(self.heads(Hook::K), &attn.key_norm));
        let key = attn.repeated(key);
        let mut expected = host(query.matmul(key.swap_dims(2, 3)) * attn.scale);
        for (index, score) in expected.iter_mut().enumerate() {
            let (query, key) = (index / SEQ_LEN % SEQ_LEN, index % SEQ_LEN);
            let seen = key <= query && attn.window.is_none_or(|window| query - key < window);
            *score = if seen { *score } else { f32::NEG_INFINITY };
        }
        close(&format!("{} scores", self.name), &host(self.heads(Hook::AttnScores)), &expected);
    }

    fn check_pattern(&self) {
        let softmax = |row: &[f32]| {
            let exps: Vec<f64> = row.iter().map(|x| f64::from(*x).exp()).collect();
            let sum: f64 = exps.iter().sum();
            exps.into_iter().map(|e| (e / sum) as f32).collect::<Vec<_>>()
        };
        let scores = host(self.heads(Hook::AttnScores));
        let expected: Vec<f32> = scores.chunks(SEQ_LEN).flat_map(softmax).collect();
        close(&format!("{} pattern", self.name), &host(self.heads(Hook::Pattern)), &expected);
    }

    /// `z[t] = sum_s pattern[t, s] v[s]`, each value head serving its group of query heads.
    fn check_mixing(&self) {
        let attn = &self.block.attn;
        let (pattern, value, group) =
            (host(self.heads(Hook::Pattern)), host(self.heads(Hook::V)), attn.n_heads / attn.n_kv_heads);
        let z = self.heads(Hook::Z);
        assert_eq!(z.dims(), [2, SEQ_LEN, attn.n_heads, attn.d_head], "{}", self.name);
        let entry = |index: usize| {
            let (unit, rest) = (index % attn.d_head, index / attn.d_head);
            let (head, query, window) =
                (rest % attn.n_heads, rest / attn.n_heads % SEQ_LEN, rest / attn.n_heads / SEQ_LEN);
            let weight = |key: usize| pattern[((window * attn.n_heads + head) * SEQ_LEN + query) * SEQ_LEN + key];
            let of =
                |key: usize| value[((window * SEQ_LEN + key) * attn.n_kv_heads + head / group) * attn.d_head + unit];
            (0..SEQ_LEN).map(|key| f64::from(weight(key)) * f64::from(of(key))).sum::<f64>() as f32
        };
        let expected: Vec<f32> = (0..2 * SEQ_LEN * attn.n_heads * attn.d_head).map(entry).collect();
        close(&format!("{} z", self.name), &host(z.clone()), &expected);
        let joined = z.reshape([2, SEQ_LEN, attn.n_heads * attn.d_head]);
        self.is(Hook::AttnOut, after_norm(&self.block.attn_post_norm, linear(&attn.output, joined)));
    }

    fn check_mlp(&self, normed: Tensor<3>) {
        let mlp = &self.block.mlp;
        let up = linear(&mlp.up, normed.clone());
        self.is(Hook::MlpPre, mlp.gate.as_ref().map_or(up.clone(), |gate| linear(gate, normed)));
        let pre = self.wide(Hook::MlpPre);
        let active = match mlp.activation {
            Activation::Silu => silu(pre),
            Activation::Gelu => gelu(pre),
            Activation::GeluTanh => {
                let inner = (pre.clone() + pre.clone().powi_scalar(3) * 0.044715) * (2.0 / std::f64::consts::PI).sqrt();
                pre * (inner.tanh() + 1.0) * 0.5
            }
            Activation::Relu => relu(pre),
        };
        self.is(Hook::MlpPost, if mlp.gate.is_some() { active * up } else { active });
        let written = linear(&mlp.down, self.wide(Hook::MlpPost));
        self.is(Hook::MlpOut, after_norm(&self.block.mlp_post_norm, written));
    }

    fn check_residual(&self, residual: Residual) {
        let (pre, attn_out, mlp_out) = (self.wide(Hook::ResidPre), self.wide(Hook::AttnOut), self.wide(Hook::MlpOut));
        match (&self.block.mlp_norm, residual) {
            (Some(norm), Residual::Sequential) => {
                self.is(Hook::ResidMid, pre + attn_out);
                self.is(Hook::Ln2Normalized, norm.forward(self.wide(Hook::ResidMid)));
                self.is(Hook::ResidPost, self.wide(Hook::ResidMid) + mlp_out);
            }
            (Some(norm), _) => {
                self.is(Hook::Ln2Normalized, norm.forward(pre.clone()));
                self.is(Hook::ResidPost, pre + attn_out + mlp_out);
            }
            (None, _) => self.is(Hook::ResidPost, pre + attn_out + mlp_out),
        }
    }
}

fn everything(model: &Decoder) -> ActivationCache {
    model.run_with_cache(&windows(), ActivationCache::at(model.hooks().iter())).unwrap()
}

#[test]
fn each_activation_is_what_the_weights_make_of_those_before_it() {
    for name in FAMILIES {
        let model = load(name);
        let cache = everything(&model);
        for (layer, block) in model.blocks.iter().enumerate() {
            let shown = Shown { name: format!("{name} {layer}"), block, cache: &cache, layer };
            shown.check_scales();
            shown.check_projections();
            shown.check_scores();
            shown.check_pattern();
            shown.check_mixing();
            let shared = block.mlp_norm.is_none();
            shown.check_mlp(shown.wide(if shared { Hook::Ln1Normalized } else { Hook::Ln2Normalized }));
            shown.check_residual(model.config().residual);
        }
        let normed = model.final_norm.forward(cache.tensor(Hook::ResidPost.at(model.n_layers() - 1)).unwrap());
        let found = cache.tensor(Hook::LnFinalNormalized.at(0)).unwrap();
        close(name, &host(found), &host(normed));
        assert_eq!(host(cache.tensor(Hook::Embed.at(0)).unwrap()), host(cache.tensor(Hook::ResidPre.at(0)).unwrap()));
    }
}

#[test]
fn looking_changes_no_bit() {
    for name in FAMILIES {
        let model = load(name);
        let last = Hook::ResidPost.at(model.n_layers() - 1);
        let tokens = windows().batch(0..2, &Device::flex());
        let plain = host(model.forward(tokens, &mut NoTap).unwrap());
        assert_eq!(host(everything(&model).tensor(last).unwrap()), plain, "{name}");
        for hook in model.shape().hooks.iter().filter(|hook| hook.is_in_block()) {
            let cache = model.run_with_cache(&windows(), ActivationCache::at([hook.at(0), last])).unwrap();
            assert_eq!(host(cache.tensor(last).unwrap()), plain, "{name} {hook}");
        }
    }
}

#[test]
fn models_offer_the_hooks_that_their_blocks_have() {
    let missing = |name: &str| -> Vec<Hook> {
        let offered = load(name).hooks();
        HookSet::all().iter().filter(|hook| !offered.contains(*hook)).collect()
    };
    assert_eq!(missing("gpt2"), []);
    assert_eq!(missing("neox-sequential"), []);
    assert_eq!(missing("neox-parallel"), [Hook::ResidMid]);
    assert_eq!(missing("phi"), [Hook::ResidMid, Hook::Ln2Scale, Hook::Ln2Normalized]);
}
