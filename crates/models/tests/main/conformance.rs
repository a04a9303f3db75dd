//! What must hold in every family, whatever its axes: one suite over all fixtures.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::{Value, json};
use stratigraph_core::{
    Activation, ActivationCache, Edit, EditTap, Hook, HookSet, NoTap, Positions, ResidualModel, Result, RunModel, Site,
    Tap,
};
use stratigraph_models::{AttentionSinks, Checkpoint, Decoder, LoadOptions};
use stratigraph_surgery::LayerPlan;
use stratigraph_testing::{
    Backend, Expected, FAMILIES, GGUFS, TestDevice, assert_close, device, devices, fixture, host,
};

use crate::support::{configure, copy};

fn load(name: &str, device: &Device) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(device).unwrap()
}

fn ids(name: &str, device: &Device) -> Tensor<2, Int> {
    Expected::of_family(name).ids(device)
}

/// The families that a test runs on a backend: two on wgpu, whose kernels are tuned anew for each shape, since
/// `families.rs` compares every one of them with transformers there.
fn families_on(backend: Backend) -> &'static [&'static str] {
    match backend {
        Backend::Wgpu => &["gemma3", "phi"],
        _ => &FAMILIES,
    }
}

/// On wgpu kernels are chosen by trying them, which another test may be about at the time of either pass.
#[test]
fn a_straight_pass_gives_the_bits_of_the_plan_of_all_layers() {
    for TestDevice { backend, device } in devices() {
        for name in families_on(backend) {
            let model = load(name, &device);
            let straight = host(model.forward(ids(name, &device), &mut NoTap).unwrap());
            let plan = LayerPlan::full(model.n_layers());
            let planned = host(plan.run(&model, ids(name, &device), &mut NoTap).unwrap());
            if backend == Backend::Wgpu {
                assert_close(&planned, &straight, 1e-5, &format!("{name} on {backend}"));
            } else {
                assert!(planned == straight, "{name} on {backend}");
            }
        }
    }
}

#[test]
fn fused_attention_equals_the_explicit_one() {
    for TestDevice { backend, device } in devices() {
        for name in families_on(backend) {
            let model = load(name, &device);
            let fused = model.forward(ids(name, &device), &mut NoTap).unwrap();
            let explicit = model.forward(ids(name, &device), &mut ActivationCache::at([Hook::Pattern])).unwrap();
            assert_close(&host(fused), &host(explicit), 1e-5, &format!("{name} on {backend}"));
        }
    }
}

/// On a CPU windows of up to 512 tokens have a kept pattern either way, so here are longer ones too.
#[test]
fn long_windows_have_the_same_attention_fused_and_explicit() {
    for TestDevice { backend, device } in devices().into_iter().filter(|on| on.backend != Backend::Wgpu) {
        for name in ["llama-gqa", "gemma3", "gemma2", "bloom", "cohere2", "gpt-oss", "falcon-alibi"] {
            let model = load(name, &device);
            let config = model.config().clone().with_n_ctx(600);
            let model = config.init(7, &device).unwrap();
            let ids: Vec<i32> = (0..1040).map(|i| (i * i * 7 + i) % config.d_vocab as i32).collect();
            let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [2, 520]), &device);
            let fused = model.forward(ids.clone(), &mut NoTap).unwrap();
            let explicit = model.forward(ids, &mut ActivationCache::at([Hook::Pattern])).unwrap();
            assert_close(&host(fused), &host(explicit), 1e-5, &format!("{name} on {backend}"));
        }
    }
}

/// burn-flex takes a query whose scores are all NaN for one that sees no key, and gives it zeros.
#[test]
fn a_query_that_is_not_a_number_shows_in_a_long_window() {
    let device = device();
    let model = load("llama-gqa", &device).config().clone().with_n_ctx(600).init(7, &device).unwrap();
    let ids: Vec<i32> = (0..520).map(|i| i * i % 41).collect();
    let resid = model.embed(Tensor::from_data(TensorData::new(ids, [1, 520]), &device)).unwrap();
    let edits = [Edit::scale(Hook::Q.at(0), f64::NAN).with_positions(Positions::only([100]))];
    let run = model.block(Site { slot: 0, layer: 0 }, resid, &mut EditTap::new(&edits, vec![0])).unwrap();
    for (position, row) in host(run).chunks(model.d_model()).enumerate() {
        assert_eq!(row.iter().any(|x| x.is_nan()), position == 100, "{position}");
    }
}

#[test]
fn a_batch_equals_its_sequences_one_by_one() {
    let device = device();
    for name in FAMILIES {
        let model = load(name, &device);
        let together = host(model.forward(ids(name, &device), &mut NoTap).unwrap());
        let [batch, _] = ids(name, &device).dims();
        let alone = (0..batch)
            .flat_map(|sequence| host(model.forward(ids(name, &device).narrow(0, sequence, 1), &mut NoTap).unwrap()));
        assert_close(&alone.collect::<Vec<_>>(), &together, 1e-5, name);
    }
}

/// What converters leave to the reader, who takes the usual value, and the fixture has another: the scale of Gemma 2's scores,
/// and windows of some families.
fn usual_values(name: &str) -> Value {
    match name {
        "gemma2" => json!({"query_pre_attn_scalar": 12}),
        "mixtral" | "starcoder2" => json!({"sliding_window": null}),
        _ => json!({}),
    }
}

#[test]
fn a_gguf_file_equals_the_directory() {
    let device = device();
    for name in GGUFS {
        let (_keep, directory) = copy(name);
        configure(&directory, usual_values(name));
        let run = |path: &Path| {
            let checkpoint = Checkpoint::open(path).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(checkpoint.unread_keys().is_empty(), "{name}: {:?}", checkpoint.unread_keys());
            let model = checkpoint.load(&device).unwrap_or_else(|error| panic!("{name}: {error}"));
            host(model.logits(model.forward(ids(name, &device), &mut NoTap).unwrap()).unwrap())
        };
        // GGUF stores rope divisors and eps as f32, so the last bits may differ.
        assert_close(&run(&directory.join("model.gguf")), &run(&directory), 3e-6, name);
    }
}

#[test]
fn a_small_largest_tensor_changes_nothing() {
    for TestDevice { backend, device } in devices() {
        for name in ["gemma3", "phi"] {
            let run = |options: LoadOptions| {
                let model = Checkpoint::open(fixture(name)).unwrap().load_with(&options, &device).unwrap();
                host(model.logits(model.forward(ids(name, &device), &mut NoTap).unwrap()).unwrap())
            };
            let chunked = run(LoadOptions::default().with_largest_tensor_bytes(2048));
            // wgpu times its kernels and may choose another one for the parts, which adds the same products in another order.
            let tolerance = if backend == Backend::Wgpu { 5e-6 } else { 1e-6 };
            assert_close(&chunked, &run(LoadOptions::default()), tolerance, &format!("{name} on {backend}"));
        }
    }
}

/// Counts how often each hook fires in each slot.
struct Count {
    fired: BTreeMap<(usize, Hook), usize>,
    hooks: HookSet,
}

impl Tap for Count {
    fn hooks(&self) -> HookSet {
        self.hooks
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> Result<Activation> {
        *self.fired.entry((site.slot, hook)).or_default() += 1;
        Ok(activation)
    }
}

#[test]
fn every_hook_fires_once_a_slot_and_editing_it_changes_what_comes_out() {
    let device = device();
    for name in FAMILIES {
        let model = load(name, &device);
        let hooks = model.shape().hooks;
        let repeated = LayerPlan::full(model.n_layers()).repeat(0..1).unwrap();
        let run = |tap: &mut dyn Tap| host(repeated.run(&model, ids(name, &device), tap).unwrap());
        let in_blocks: HookSet = hooks.iter().filter(|hook| hook.is_in_block()).collect();
        let mut count = Count { fired: BTreeMap::new(), hooks: in_blocks };
        let clean = run(&mut count);
        let n_slots = repeated.steps().len();
        assert_eq!(count.fired.len(), n_slots * in_blocks.iter().count(), "{name}");
        assert!(count.fired.values().all(|&n| n == 1), "{name}: {:?}", count.fired);
        let [batch, _] = ids(name, &device).dims();
        for slot in 0..n_slots {
            for hook in in_blocks.iter().filter(|hook| !hook.is_read_only()) {
                let edits = [Edit::scale(hook.at(slot), 0.5)];
                let edited = run(&mut EditTap::new(&edits, (0..batch).collect()));
                assert!(edited != clean, "{name}: editing {hook} in slot {slot} had no effect");
            }
        }
    }
}

#[test]
fn a_hook_that_a_family_lacks_is_refused() {
    let device = device();
    for name in FAMILIES {
        let model = load(name, &device);
        let mut cache = ActivationCache::at([Hook::ResidMid]);
        let result = model.forward(ids(name, &device), &mut cache);
        assert_eq!(result.is_ok(), model.hooks().contains(Hook::ResidMid), "{name}");
    }
    assert!(!load("phi", &device).hooks().contains(Hook::ResidMid));
}

#[test]
fn patterns_are_causal_windowed_and_sum_to_one() {
    let device = device();
    for name in FAMILIES {
        let model = load(name, &device);
        let mut cache = ActivationCache::at([Hook::Pattern]);
        model.forward(ids(name, &device), &mut cache).unwrap();
        for layer in 0..model.n_layers() {
            let pattern = cache.heads(Hook::Pattern.at(layer)).unwrap();
            let [batch, heads, pos, _] = pattern.dims();
            let sums = host(pattern.clone().sum_dim(3));
            match model.config().sinks {
                // Where scores are far above it, a sink takes less than an f32 shows, as in transformers.
                AttentionSinks::Present => {
                    assert!(sums.iter().all(|sum| *sum < 1.0 + 1e-6), "{name}: more than a whole");
                    assert!(sums.iter().any(|sum| *sum < 0.9), "{name}: a sink takes nothing");
                }
                _ => drop(assert_close(&sums, &vec![1.0; batch * heads * pos], 1e-6, name)),
            }
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
            host(config.init(seed, device).unwrap().forward(ids(name, device), &mut NoTap).unwrap())
        };
        let first = run(1, &device());
        assert!(run(1, &device()) == first && run(2, &device()) != first, "{name}");
    }
    let config = Checkpoint::open(fixture("llama-gqa")).unwrap().config().clone();
    let run =
        |device: &Device| host(config.init(1, device).unwrap().forward(ids("llama-gqa", device), &mut NoTap).unwrap());
    for TestDevice { backend, device } in devices() {
        assert_close(&run(&device), &run(&stratigraph_testing::device()), 1e-5, &format!("{backend}"));
    }
}
