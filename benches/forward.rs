//! One straight pass on each backend: with fused attention and with the pattern kept, and in the shape of each family:
//! `cargo bench --bench forward`.

use burn::tensor::Device;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use stratigraph::models::DecoderConfig;
use stratigraph::prelude::*;
use stratigraph_benches::{WINDOWS, backends, config, config_of, windows};

/// Times one pass in which a tap wants these hooks.
fn pass(
    criterion: &mut Criterion,
    group: &str,
    id: BenchmarkId,
    config: &DecoderConfig,
    device: &Device,
    hooks: &[Hook],
) {
    let model = config.init(0, device).expect("the configuration is sound");
    let tokens = windows().batch(0..WINDOWS, device);
    let mut group = criterion.benchmark_group(group);
    group.sample_size(20);
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let mut tap = ActivationCache::at(hooks.iter().copied());
            let resid = model.forward(tokens.clone(), &mut tap).expect("it runs");
            resid.into_data() // waits for the device
        });
    });
}

fn forward_pass(criterion: &mut Criterion) {
    for (backend, device) in backends() {
        for (name, hooks) in [("fused", &[][..]), ("pattern", &[Hook::Pattern])] {
            pass(criterion, "forward", BenchmarkId::new(name, backend), &config(), &device, hooks);
        }
    }
}

fn families(criterion: &mut Criterion) {
    for (backend, device) in backends() {
        for name in ["gemma3", "gpt2", "llama-gqa", "mistral", "neox-parallel", "phi", "qwen2", "qwen3"] {
            pass(criterion, "family", BenchmarkId::new(name, backend), &config_of(name), &device, &[]);
        }
    }
}

criterion_group!(benches, forward_pass, families);
criterion_main!(benches);
