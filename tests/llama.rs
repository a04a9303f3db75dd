//! The Llama family against Hugging Face transformers, on every backend: logits, residual stream, patterns, edits.

mod common;

use burn::tensor::{Device, Tensor};
use common::{Expected, LLAMAS, assert_close, devices, fixture, host};
use stratigraph::core::{forward, logits};
use stratigraph::models::LoadOptions;
use stratigraph::prelude::*;

const TOLERANCE: f32 = 1e-4;

fn load(name: &str, device: &Device) -> Decoder {
    Pretrained::open(fixture(name)).unwrap().load(device).unwrap()
}

#[test]
fn logits_and_every_activation_are_those_of_transformers() {
    for (backend, device) in devices() {
        for name in LLAMAS {
            let model = load(name, &device);
            let expected = Expected::open(&format!("{name}/expected.safetensors"));
            let mut cache = ActivationCache::of(Hook::ALL);
            let resid = forward(&model, expected.ids(&device), &mut cache).unwrap();
            let close = |found: Vec<f32>, tensor: &str, layer: usize| {
                let what = format!("{name} on {backend}: {tensor} {layer}");
                assert_close(&found, &expected.part(tensor, layer), TOLERANCE, &what)
            };
            for layer in 0..model.n_layers() {
                let get = |hook| host(cache.get(layer, hook).unwrap().clone());
                close(get(Hook::ResidPre), "resid", layer);
                close(get(Hook::ResidPost), "resid", layer + 1);
                close(get(Hook::AttnOut), "attn_out", layer);
                close(get(Hook::MlpOut), "mlp_out", layer);
                close(host(cache.pattern(layer).unwrap().clone()), "pattern", layer);
            }
            let found = host(logits(&model, resid));
            let worst = assert_close(&found, &expected.values("logits").1, TOLERANCE, &format!("{name} on {backend}"));
            println!("{name} on {backend}: logits within {worst:.1e} of their scale");
        }
    }
}

#[test]
fn edited_layer_lists_are_those_of_transformers() {
    for (backend, device) in devices() {
        for name in LLAMAS {
            let model = load(name, &device);
            let expected = Expected::open(&format!("{name}/expected.safetensors"));
            let full = LayerPlan::full(model.n_layers());
            let mut plans = vec![("logits_repeat_0".to_owned(), full.repeat(0..model.n_layers()).unwrap())];
            for layer in 0..model.n_layers() {
                plans.push((format!("logits_delete_{layer}"), full.delete(layer).unwrap()));
                if layer > 0 {
                    plans.push((format!("logits_swap_{}", layer - 1), full.swap(layer - 1, layer).unwrap()));
                }
            }
            for (tensor, plan) in plans {
                let resid = plan.run(&model, expected.ids(&device), &mut NoTap).unwrap();
                let (shape, values) = expected.values(&tensor); // the last positions of the first sequence
                let [_, pos, _] = resid.dims();
                let found = logits(&model, resid).slice([0..1, pos - shape[0]..pos, 0..shape[1]]);
                assert_close(&host(found), &values, TOLERANCE, &format!("{name} on {backend}: {tensor}"));
            }
        }
    }
}

#[test]
fn a_gguf_file_gives_the_bits_of_the_directory() {
    let device = common::device();
    for name in ["llama-gqa", "llama-untied"] {
        let ids = || Expected::open(&format!("{name}/expected.safetensors")).ids(&device);
        let run = |model: &Decoder| host(logits(model, forward(model, ids(), &mut NoTap).unwrap()));
        let (directory, gguf) = (load(name, &device), load(&format!("{name}/model.gguf"), &device));
        // GGUF stores rope divisors and eps as f32, so the last bits may differ.
        assert_close(&run(&gguf), &run(&directory), 1e-6, name);
    }
}

#[test]
fn a_small_largest_tensor_changes_nothing() {
    for (backend, device) in devices() {
        let checkpoint = Pretrained::open(fixture("llama-untied")).unwrap();
        let ids = Expected::open("llama-untied/expected.safetensors").ids(&device);
        let run = |model: Decoder| host(logits(&model, forward(&model, ids.clone(), &mut NoTap).unwrap()));
        let whole = run(checkpoint.load(&device).unwrap());
        let options = LoadOptions { largest_tensor_bytes: 4096 }; // 64 of 300 rows
        let chunked = run(checkpoint.load_with(&options, &device).unwrap());
        assert_close(&chunked, &whole, 1e-6, &format!("{backend}"));
    }
}

#[test]
fn fused_attention_equals_the_explicit_one() {
    for (backend, device) in devices() {
        for name in LLAMAS {
            let model = load(name, &device);
            let ids = Expected::open(&format!("{name}/expected.safetensors")).ids(&device);
            let fused = forward(&model, ids.clone(), &mut NoTap).unwrap();
            let explicit = forward(&model, ids, &mut ActivationCache::of([Hook::Pattern])).unwrap();
            assert_close(&host(fused), &host(explicit), 1e-5, &format!("{name} on {backend}"));
        }
    }
}

#[test]
fn patterns_are_causal_and_sum_to_one() {
    let device = common::device();
    let model = load("llama-gqa", &device);
    let mut cache = ActivationCache::of([Hook::Pattern]);
    forward(&model, Expected::open("llama-gqa/expected.safetensors").ids(&device), &mut cache).unwrap();
    let pattern = cache.pattern(1).unwrap().clone();
    let [batch, heads, pos, _] = pattern.dims();
    let sums = host(pattern.clone().sum_dim(3));
    assert_close(&sums, &vec![1.0; batch * heads * pos], 1e-6, "sums");
    let future: Tensor<4> = pattern.triu(1);
    assert_eq!(future.abs().sum().into_scalar::<f32>(), 0.0);
}

#[test]
fn random_weights_depend_on_the_seed_alone() {
    let config = Pretrained::open(fixture("llama-gqa")).unwrap().config().clone();
    let run = |seed, device: &Device| {
        let model = config.init(seed, device).unwrap();
        let ids = Expected::open("llama-gqa/expected.safetensors").ids(device);
        host(forward(&model, ids, &mut NoTap).unwrap())
    };
    let first = run(1, &common::device());
    assert!(run(2, &common::device()) != first);
    for (backend, device) in devices() {
        assert_close(&run(1, &device), &first, 1e-5, &format!("{backend}"));
    }
}
