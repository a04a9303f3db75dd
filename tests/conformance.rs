//! What must hold in every family, whatever its axes: one suite over all fixtures.

mod common;

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{Expected, FAMILIES, GGUFS, assert_close, device, devices, fixture, host};
use stratigraph::Experiment;
use stratigraph::core::{forward, logits};
use stratigraph::models::{DecoderConfig, LoadOptions};
use stratigraph::prelude::*;

fn load(name: &str, device: &Device) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(device).unwrap()
}

fn ids(name: &str, device: &Device) -> Tensor<2, Int> {
    Expected::open(&format!("{name}/expected.safetensors")).ids(device)
}

fn windows(name: &str) -> TokenWindows {
    let (shape, ids) = Expected::open(&format!("{name}/expected.safetensors")).values("ids");
    TokenWindows::new(&ids.into_iter().map(|id| id as u32).collect::<Vec<_>>(), shape[1]).unwrap()
}

/// The families that a test runs on a backend: two on wgpu, whose kernels are tuned anew for each shape, since
/// `families.rs` compares every one of them there, by the explicit and by the fused path.
fn families_on(backend: Backend) -> &'static [&'static str] {
    match backend {
        Backend::Wgpu => &["gemma3", "phi"],
        _ => &FAMILIES,
    }
}

#[test]
fn a_straight_pass_gives_the_bits_of_the_plan_of_all_layers() {
    for (backend, device) in devices() {
        for name in families_on(backend) {
            let model = load(name, &device);
            let straight = host(forward(&model, ids(name, &device), &mut NoTap).unwrap());
            let plan = LayerPlan::full(model.n_layers());
            let planned = host(plan.run(&model, ids(name, &device), &mut NoTap).unwrap());
            assert!(planned == straight, "{name} on {backend}");
        }
    }
}

#[test]
fn fused_attention_equals_the_explicit_one() {
    for (backend, device) in devices() {
        for name in families_on(backend) {
            let model = load(name, &device);
            let fused = forward(&model, ids(name, &device), &mut NoTap).unwrap();
            let explicit = forward(&model, ids(name, &device), &mut ActivationCache::of([Hook::Pattern])).unwrap();
            assert_close(&host(fused), &host(explicit), 1e-5, &format!("{name} on {backend}"));
        }
    }
}

/// On a CPU windows of up to 512 tokens have a kept pattern either way, so here are longer ones too.
#[test]
fn long_windows_have_the_same_attention_fused_and_explicit() {
    for (backend, device) in devices().into_iter().filter(|(backend, _)| *backend != Backend::Wgpu) {
        for name in ["llama-gqa", "gemma3"] {
            let model = load(name, &device);
            let config = DecoderConfig { n_ctx: 600, ..model.config().clone() };
            let model = config.init(7, &device).unwrap();
            let ids: Vec<i32> = (0..1040).map(|i| (i * i * 7 + i) % config.d_vocab as i32).collect();
            let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [2, 520]), &device);
            let fused = forward(&model, ids.clone(), &mut NoTap).unwrap();
            let explicit = forward(&model, ids, &mut ActivationCache::of([Hook::Pattern])).unwrap();
            assert_close(&host(fused), &host(explicit), 1e-5, &format!("{name} on {backend}"));
        }
    }
}

#[test]
fn a_batch_equals_its_sequences_one_by_one() {
    let device = device();
    for name in FAMILIES {
        let model = load(name, &device);
        let together = host(forward(&model, ids(name, &device), &mut NoTap).unwrap());
        let [batch, _] = ids(name, &device).dims();
        let alone = (0..batch)
            .flat_map(|sequence| host(forward(&model, ids(name, &device).narrow(0, sequence, 1), &mut NoTap).unwrap()));
        assert_close(&alone.collect::<Vec<_>>(), &together, 1e-5, name);
    }
}

#[test]
fn the_lens_at_the_end_is_the_model() {
    let device = device();
    for name in FAMILIES {
        let model = load(name, &device);
        let findings = Study::new(&model).experiments([Experiment::Lens]).run(&windows(name)).unwrap();
        let last = |curve: &str| *findings.curves[curve].mean.last().unwrap();
        assert_eq!(findings.curves["lens_kl"].mean.len(), model.n_layers() + 1);
        assert_eq!((last("lens_kl"), last("lens_top1_agreement")), (0.0, 1.0), "{name}");
        assert!((last("lens_nll") - loss(&model, name, &device)).abs() < 1e-5, "{name}");
    }
}

/// The mean loss in nats of the model's logits, by its definition.
fn loss(model: &Decoder, name: &str, device: &Device) -> f64 {
    let (shape, ids) = Expected::open(&format!("{name}/expected.safetensors")).values("ids");
    let all = host(logits(model, forward(model, windows(name).batch(0..shape[0], device), &mut NoTap).unwrap()));
    let rows: Vec<_> = all.chunks(model.d_vocab()).collect();
    let of = |at: usize| {
        let sum: f64 = rows[at].iter().map(|&logit| f64::from(logit).exp()).sum();
        sum.ln() - f64::from(rows[at][ids[at + 1] as usize])
    };
    let predicted: Vec<_> = (0..rows.len()).filter(|at| (at + 1) % shape[1] != 0).map(of).collect();
    predicted.iter().sum::<f64>() / predicted.len() as f64
}

#[test]
fn a_gguf_file_equals_the_directory() {
    let device = device();
    for name in GGUFS {
        let run = |path: &str| {
            let model = load(path, &device);
            host(logits(&model, forward(&model, ids(name, &device), &mut NoTap).unwrap()))
        };
        // GGUF stores rope divisors and eps as f32, so the last bits may differ.
        assert_close(&run(&format!("{name}/model.gguf")), &run(name), 3e-6, name);
    }
}

#[test]
fn a_small_largest_tensor_changes_nothing() {
    for (backend, device) in devices() {
        for name in ["gemma3", "phi"] {
            let run = |options: LoadOptions| {
                let model = Checkpoint::open(fixture(name)).unwrap().load_with(&options, &device).unwrap();
                host(logits(&model, forward(&model, ids(name, &device), &mut NoTap).unwrap()))
            };
            let chunked = run(LoadOptions { largest_tensor_bytes: 2048 });
            assert_close(&chunked, &run(LoadOptions::default()), 1e-6, &format!("{name} on {backend}"));
        }
    }
}

/// Counts how often each hook fires in each slot.
#[derive(Default)]
struct Count(BTreeMap<(usize, Hook), usize>, Vec<Hook>);

impl Tap for Count {
    fn hooks(&self) -> Vec<Hook> {
        self.1.clone()
    }
    fn wants(&self, _: Site, hook: Hook) -> bool {
        self.1.contains(&hook)
    }
    fn visit(&mut self, site: Site, hook: Hook, activation: Tensor<3>) -> Tensor<3> {
        *self.0.entry((site.slot, hook)).or_default() += 1;
        activation
    }
    fn visit_pattern(&mut self, site: Site, pattern: Tensor<4>) -> Tensor<4> {
        *self.0.entry((site.slot, Hook::Pattern)).or_default() += 1;
        pattern
    }
}

#[test]
fn every_hook_fires_once_a_slot_and_editing_it_changes_what_comes_out() {
    let device = device();
    for name in FAMILIES {
        let model = load(name, &device);
        let hooks = model.hooks();
        let repeated = LayerPlan::full(model.n_layers()).repeat(0..1).unwrap();
        let run = |tap: &mut dyn Tap| host(repeated.run(&model, ids(name, &device), tap).unwrap());
        let mut count = Count(BTreeMap::new(), hooks.clone());
        let clean = run(&mut count);
        let n_slots = repeated.steps().len();
        assert_eq!(count.0.len(), n_slots * hooks.len(), "{name}");
        assert!(count.0.values().all(|&n| n == 1), "{name}: {:?}", count.0);
        for slot in 0..n_slots {
            for &hook in &hooks {
                let mut edit = match hook {
                    Hook::Pattern => Edit::pattern(slot, |pattern| pattern * 0.5),
                    _ => Edit::activation(slot, hook, |activation| activation * 0.5),
                };
                assert!(run(&mut edit) != clean, "{name}: editing {hook} in slot {slot} had no effect");
            }
        }
    }
}

#[test]
fn a_hook_that_a_family_lacks_is_refused() {
    let device = device();
    for name in FAMILIES {
        let model = load(name, &device);
        let mut cache = ActivationCache::of([Hook::ResidMid]);
        let result = forward(&model, ids(name, &device), &mut cache);
        assert_eq!(result.is_ok(), model.hooks().contains(&Hook::ResidMid), "{name}");
    }
    assert!(!load("phi", &device).hooks().contains(&Hook::ResidMid));
}

#[test]
fn patterns_are_causal_windowed_and_sum_to_one() {
    let device = device();
    for name in FAMILIES {
        let model = load(name, &device);
        let mut cache = ActivationCache::of([Hook::Pattern]);
        forward(&model, ids(name, &device), &mut cache).unwrap();
        for layer in 0..model.n_layers() {
            let pattern = cache.pattern(layer).unwrap().clone();
            let [batch, heads, pos, _] = pattern.dims();
            let sums = host(pattern.clone().sum_dim(3));
            assert_close(&sums, &vec![1.0; batch * heads * pos], 1e-6, name);
            let total = |part: Tensor<4>| part.abs().sum().into_scalar::<f32>();
            assert_eq!(total(pattern.clone().triu(1)), 0.0, "{name}: a later token is seen");
            let window = model.config().sliding_window.as_ref().filter(|window| window.layers.contains(&layer));
            if let Some(window) = window {
                assert!(window.size < pos, "{name}: the text does not fill the window");
                assert_eq!(total(pattern.tril(-(window.size as i64))), 0.0, "{name}: before the window");
            }
        }
    }
}

#[test]
fn random_weights_depend_on_the_seed_alone() {
    for name in FAMILIES {
        let config = Checkpoint::open(fixture(name)).unwrap().config().clone();
        let run = |seed, device: &Device| {
            host(forward(&config.init(seed, device).unwrap(), ids(name, device), &mut NoTap).unwrap())
        };
        let first = run(1, &device());
        assert!(run(1, &device()) == first && run(2, &device()) != first, "{name}");
    }
    let config = Checkpoint::open(fixture("llama-gqa")).unwrap().config().clone();
    let run = |device: &Device| {
        host(forward(&config.init(1, device).unwrap(), ids("llama-gqa", device), &mut NoTap).unwrap())
    };
    for (backend, device) in devices() {
        assert_close(&run(&device), &run(&common::device()), 1e-5, &format!("{backend}"));
    }
}
