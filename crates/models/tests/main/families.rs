//! Every family against Hugging Face transformers, on every backend: logits, residual stream, patterns, edited layers.

use burn::tensor::Device;
use stratigraph_core::{ActivationCache, Hook, NoTap, ResidualModel, RunModel};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_surgery::LayerPlan;
use stratigraph_testing::{
    Backend, Expected, ExpectedTensor, FAMILIES, TestDevice, assert_close, devices, fixture, host,
};

const TOLERANCE: f32 = 1e-4;

/// The families that differ from all others in their arithmetic on a device, not only in names and layouts. wgpu shows every
/// activation of these alone, since it tunes its kernels anew for each shape; of the others, the residual stream and the logits.
const SHOWN_ON_WGPU: [&str; 17] = [
    "bloom",
    "cohere",
    "falcon-alibi",
    "gemma2",
    "gemma3",
    "gpt-oss",
    "gpt2",
    "llama-gqa",
    "ministral3",
    "mistral",
    "neox-parallel",
    "nemotron",
    "olmo",
    "olmo2",
    "phi",
    "qwen2-moe",
    "stablelm-heads",
];

fn shown_on(backend: Backend) -> &'static [&'static str] {
    if backend == Backend::Wgpu { &SHOWN_ON_WGPU } else { &FAMILIES }
}

fn load(name: &str, device: &Device) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(device).unwrap()
}

#[test]
fn logits_and_every_activation_are_those_of_transformers() {
    for TestDevice { backend, device } in devices() {
        for name in shown_on(backend) {
            let model = load(name, &device);
            let expected = Expected::of_family(name);
            let mut cache = ActivationCache::at(model.hooks().iter());
            let resid = model.forward(expected.ids(&device), &mut cache).unwrap();
            let close = |found: Vec<f32>, tensor: &str, layer: usize| {
                let what = format!("{name} on {backend}: {tensor} {layer}");
                assert_close(&found, expected.tensor(tensor).part(layer), TOLERANCE, &what)
            };
            let mut worst = 0.0f32;
            for layer in 0..model.n_layers() {
                let get = |hook: Hook| cache.activation(hook.at(layer)).unwrap().to_vec();
                let differences = [
                    close(get(Hook::ResidPre), "resid", layer),
                    close(get(Hook::ResidPost), "resid", layer + 1),
                    close(get(Hook::AttnOut), "attn_out", layer),
                    close(get(Hook::MlpOut), "mlp_out", layer),
                    close(get(Hook::Pattern), "pattern", layer),
                ];
                worst = differences.into_iter().fold(worst, f32::max);
            }
            let found = host(model.logits(resid).unwrap());
            let of_logits =
                assert_close(&found, &expected.tensor("logits").values, TOLERANCE, &format!("{name} {backend}"));
            println!("{name} on {backend}: logits within {of_logits:.1e} of their scale, activations {worst:.1e}");
        }
    }
}

/// With fused attention, as where nothing inside of it is looked at.
#[test]
fn the_stream_and_edited_layer_lists_are_those_of_transformers() {
    for TestDevice { backend, device } in devices() {
        for name in FAMILIES {
            let model = load(name, &device);
            let expected = Expected::of_family(name);
            let close = |found: &[f32], wanted: &[f32], what: &str| {
                assert_close(found, wanted, TOLERANCE, &format!("{name} on {backend}: {what}"))
            };
            let mut cache = ActivationCache::at([Hook::ResidPost]);
            let resid = model.forward(expected.ids(&device), &mut cache).unwrap();
            let stream = (0..model.n_layers()).map(|layer| {
                let found = cache.activation(Hook::ResidPost.at(layer)).unwrap().to_vec();
                close(&found, expected.tensor("resid").part(layer + 1), "resid")
            });
            let stream = stream.fold(0.0, f32::max);
            let logits = close(&host(model.logits(resid).unwrap()), &expected.tensor("logits").values, "logits");
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
                let ExpectedTensor { shape, values } = expected.tensor(&tensor); // the last positions of the first sequence
                let [_, pos, _] = resid.dims();
                let found = model.logits(resid).unwrap().slice([0..1, pos - shape[0]..pos, 0..shape[1]]);
                close(&host(found), &values, &tensor);
            }
            println!("{name} on {backend}, fused: logits within {logits:.1e} of their scale, stream {stream:.1e}");
        }
    }
}
