//! One straight pass on each backend, with fused attention and with the pattern kept: `cargo bench --bench forward`.

mod common;

use common::{WINDOWS, config, windows};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use stratigraph::core::forward;
use stratigraph::prelude::*;

fn forward_pass(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    group.sample_size(20);
    for backend in Backend::ALL {
        let Ok(device) = backend.device() else { continue };
        let model = config().init(0, &device).expect("the configuration is sound");
        let tokens = windows().batch(0..WINDOWS, &device);
        let mut run = |name: &str, hooks: &[Hook]| {
            group.bench_function(BenchmarkId::new(name, backend), |bencher| {
                bencher.iter(|| {
                    let mut tap = ActivationCache::of(hooks.iter().copied());
                    let resid = forward(&model, tokens.clone(), &mut tap).expect("it runs");
                    resid.into_data() // waits for the device
                });
            });
        };
        run("fused", &[]);
        run("pattern", &[Hook::Pattern]);
    }
}

criterion_group!(benches, forward_pass);
criterion_main!(benches);
