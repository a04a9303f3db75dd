//! Each activation follows from the ones before it by the weights, and reading activations changes nothing.

use burn::tensor::{Device, Tensor};
use half::bf16;
use stratigraph_core::{ActivationCache, Hook, HookSet, NoTap, ResidualModel, RunModel};
use stratigraph_testing::{FAMILIES, host};

use super::super::Decoder;
use super::super::attention::{Alibi, HeadNorm};
use super::super::block::Block;
use super::super::linear::linear;
use super::super::mlp::AnyMlp;
use super::super::norm::AnyNorm;
use super::mlps::{activated, mixed};
use super::{SEQ_LEN, close, load, windows};
use crate::Residual;

/// What a sublayer adds, of what it computes.
fn added(block: &Block, norm: &Option<AnyNorm>, x: Tensor<3>) -> Tensor<3> {
    norm.as_ref().map_or(x.clone(), |norm| norm.forward(x)) * block.scale
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
        let mut norms = Vec::new();
        if let Some(norm) = &self.block.attn_norm {
            norms.push((Hook::Ln1Scale, Hook::Ln1Normalized, norm, self.wide(Hook::ResidPre)));
        }
        if let Some(norm) = &self.block.mlp_norm {
            let entering = match self.block.residual {
                Residual::Sequential => Hook::ResidMid,
                Residual::Parallel | Residual::ParallelSharedNorm => Hook::ResidPre,
            };
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

    fn attention_reads(&self) -> Tensor<3> {
        self.wide(if self.block.attn_norm.is_some() { Hook::Ln1Normalized } else { Hook::ResidPre })
    }

    fn mlp_reads(&self) -> Tensor<3> {
        match (&self.block.mlp_norm, self.block.residual) {
            (Some(_), _) => self.wide(Hook::Ln2Normalized),
            (None, Residual::Sequential) => self.wide(Hook::ResidMid),
            (None, _) => self.attention_reads(),
        }
    }

    fn check_projections(&self) {
        let attn = &self.block.attn;
        if let Some(norm) = &self.block.attn_norm {
            self.is(Hook::Ln1Normalized, norm.forward(self.wide(Hook::ResidPre)));
        }
        let normed = self.attention_reads();
        for (hook, map, n, norm) in [
            (Hook::Q, &attn.query, attn.n_heads, &attn.query_norm),
            (Hook::K, &attn.key, attn.n_kv_heads, &attn.key_norm),
            (Hook::V, &attn.value, attn.n_kv_heads, &None),
        ] {
            let heads = self.heads(hook);
            assert_eq!(heads.dims(), [2, SEQ_LEN, n, attn.d_head], "{} {hook}", self.name);
            let mapped = linear(map, normed.clone());
            // What is normed is clipped after its norm, which is after the hook.
            let clip = attn.scoring.clip.filter(|_| norm.is_none());
            let clipped = clip.map_or(mapped.clone(), |clip| mapped.clamp(-clip, clip));
            close(&format!("{} {hook}", self.name), &host(heads), &host(clipped));
        }
    }

    /// Scores by tensor operations, and masked one by one.
    fn check_scores(&self) {
        let attn = &self.block.attn;
        let angles = attn.rotary.as_ref().map(|rotary| rotary.angles(0..SEQ_LEN, &Device::flex()));
        let turned = |x: Tensor<4>, norm: &Option<HeadNorm>| {
            let x = norm.as_ref().map_or(x.clone(), |norm| norm.forward(x));
            let x = attn.scoring.clip.map_or(x.clone(), |clip| x.clamp(-clip, clip));
            angles.as_ref().map_or(x.clone(), |angles| angles.rotate(x)).swap_dims(1, 2)
        };
        let (query, key) = (turned(self.heads(Hook::Q), &attn.query_norm), turned(self.heads(Hook::K), &attn.key_norm));
        let key = attn.repeated(key);
        let mut expected = host(query.matmul(key.swap_dims(2, 3)) * attn.scoring.scale);
        for (index, score) in expected.iter_mut().enumerate() {
            let (query, key) = (index / SEQ_LEN % SEQ_LEN, index % SEQ_LEN);
            let head = index / SEQ_LEN / SEQ_LEN % attn.n_heads;
            let seen = key <= query && attn.scoring.window.is_none_or(|window| query - key < window);
            *score = if seen { self.score(*score, head, [query, key]) } else { f32::NEG_INFINITY };
        }
        close(&format!("{} scores", self.name), &host(self.heads(Hook::AttnScores)), &expected);
    }

    /// The score of a scaled product.
    fn score(&self, product: f32, head: usize, [query, key]: [usize; 2]) -> f32 {
        let (attn, scoring) = (&self.block.attn, &self.block.attn.scoring);
        let mut score = f64::from(product);
        if let Some(scaling) = scoring.query_scaling {
            score *= 1.0 + scaling.beta * (1.0 + (query / scaling.original_n_ctx) as f64).ln();
        }
        if let Some(cap) = scoring.soft_cap {
            score = cap * (score / cap).tanh();
        }
        match scoring.alibi {
            None => {}
            Some(Alibi::ByDistance) => {
                assert_eq!(attn.n_heads, 3, "two slopes of two heads, and the first of four");
                score -= [1.0 / 16.0, 1.0 / 256.0, 0.25][head] * (query - key) as f64;
            }
            Some(Alibi::ByKeyRounded) => {
                assert_eq!(attn.n_heads, 12, "eight slopes of eight heads, and every other one of sixteen");
                let slope = 0.5f64.powf(if head < 8 { head as f64 + 1.0 } else { head as f64 - 7.5 });
                let rounded = |x: f64| bf16::from_f64(x).to_f64();
                score += rounded(rounded(slope) * key as f64) * scoring.scale;
            }
        }
        score as f32
    }

    fn check_pattern(&self) {
        let sinks = self.block.attn.sinks.as_ref().map(|sinks| host(sinks.val()));
        let softmax = |(row, scores): (usize, &[f32])| {
            let exps: Vec<f64> = scores.iter().map(|x| f64::from(*x).exp()).collect();
            let sink = sinks.as_ref().map(|sinks| f64::from(sinks[row / SEQ_LEN % sinks.len()]).exp());
            let sum: f64 = exps.iter().chain(&sink).sum();
            exps.into_iter().map(|e| (e / sum) as f32).collect::<Vec<_>>()
        };
        let scores = host(self.heads(Hook::AttnScores));
        let expected: Vec<f32> = scores.chunks(SEQ_LEN).enumerate().flat_map(softmax).collect();
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
        self.is(Hook::AttnOut, added(self.block, &self.block.attn_post_norm, linear(&attn.output, joined)));
    }

    fn check_mlp(&self) {
        let normed = self.mlp_reads();
        let written = match &self.block.mlp {
            AnyMlp::One(mlp) => {
                let up = linear(&mlp.up, normed.clone());
                let pre = mlp.gate.as_ref().map_or(up.clone(), |gate| linear(gate, normed));
                let post = activated(mlp, pre.clone(), up);
                if self.cache.tensor(Hook::MlpPre.at(self.layer)).is_ok() {
                    self.is(Hook::MlpPre, pre);
                    self.is(Hook::MlpPost, post.clone());
                }
                linear(&mlp.down, post)
            }
            AnyMlp::Mixture(mixture) => mixed(mixture, normed),
        };
        self.is(Hook::MlpOut, added(self.block, &self.block.mlp_post_norm, written));
    }

    fn check_residual(&self) {
        let (pre, attn_out, mlp_out) = (self.wide(Hook::ResidPre), self.wide(Hook::AttnOut), self.wide(Hook::MlpOut));
        if self.block.residual == Residual::Sequential {
            self.is(Hook::ResidMid, pre.clone() + attn_out.clone());
        }
        if let Some(norm) = &self.block.mlp_norm {
            let sequential = self.block.residual == Residual::Sequential;
            let read = if sequential { self.wide(Hook::ResidMid) } else { pre.clone() };
            self.is(Hook::Ln2Normalized, norm.forward(read));
        }
        self.is(Hook::ResidPost, pre + attn_out + mlp_out);
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
            shown.check_mlp();
            shown.check_residual();
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
    let experts = [Hook::ExpertWeights, Hook::ExpertIndices];
    let and_experts = |hooks: &[Hook]| [hooks, &experts].concat();
    assert_eq!(missing("gpt2"), experts);
    assert_eq!(missing("neox-sequential"), experts);
    assert_eq!(missing("neox-parallel"), and_experts(&[Hook::ResidMid]));
    assert_eq!(missing("phi"), and_experts(&[Hook::ResidMid, Hook::Ln2Scale, Hook::Ln2Normalized]));
}
