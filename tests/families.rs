//! Every family against Hugging Face transformers, on every backend: logits, residual stream, patterns, edited layers.

mod common;

use burn::tensor::Device;
use common::{Expected, FAMILIES, assert_close, devices, fixture, host};
use stratigraph::core::{forward, logits};
use stratigraph::prelude::*;

const TOLERANCE: f32 = 1e-4;

fn load(name: &str, device: &Device) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(device).unwrap()
}

#[test]
fn logits_and_every_activation_are_those_of_transformers() {
    for (backend, device) in devices() {
        for name in FAMILIES {
            let model = load(name, &device);
            let expected = Expected::open(&format!("{name}/expected.safetensors"));
            let mut cache = ActivationCache::of(model.hooks());
            let resid = forward(&model, expected.ids(&device), &mut cache).unwrap();
            let close = |found: Vec<f32>, tensor: &str, layer: usize| {
                let what = format!("{name} on {backend}: {tensor} {layer}");
                assert_close(&found, &expected.part(tensor, layer), TOLERANCE, &what)
            };
            let mut worst = 0.0f32;
            for layer in 0..model.n_layers() {
                let get = |hook| host(cache.get(layer, hook).unwrap().clone());
                let differences = [
                    close(get(Hook::ResidPre), "resid", layer),
                    close(get(Hook::ResidPost), "resid", layer + 1),
                    close(get(Hook::AttnOut), "attn_out", layer),
                    close(get(Hook::MlpOut), "mlp_out", layer),
                    close(host(cache.pattern(layer).unwrap().clone()), "pattern", layer),
                ];
                worst = differences.into_iter().fold(worst, f32::max);
            }
            let found = host(logits(&model, resid));
            let of_logits = assert_close(&found, &expected.values("logits").1, TOLERANCE, &format!("{name} {backend}"));
            println!("{name} on {backend}: logits within {of_logits:.1e} of their scale, activations {worst:.1e}");
        }
    }
}

#[test]
fn edited_layer_lists_are_those_of_transformers() {
    for (backend, device) in devices() {
        for name in FAMILIES {
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
