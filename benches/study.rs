//! The same study on each backend, and the readout reduced in both ways: `cargo bench --bench study`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use stratigraph::models::{Activation, Bias, DecoderConfig, Head, Mlp, Norm, Position, RopeScaling};
use stratigraph::prelude::*;
use stratigraph::probes::Reduction;

/// A random decoder of eight layers: what is computed does not depend on what the weights are.
fn config() -> DecoderConfig {
    DecoderConfig {
        n_layers: 8,
        d_model: 128,
        n_heads: 4,
        n_kv_heads: 2,
        d_head: 32,
        d_mlp: 384,
        d_vocab: 8192,
        n_ctx: 256,
        norm: Norm::Rms { eps: 1e-5 },
        mlp: Mlp::Gated { activation: Activation::Silu },
        position: Position::Rotary { base: 10_000.0, scaling: RopeScaling::None },
        head: Head::Tied,
        qkv_bias: Bias::Absent,
        attn_out_bias: Bias::Absent,
        mlp_bias: Bias::Absent,
    }
}

fn windows() -> TokenWindows {
    let ids: Vec<u32> = (0..4 * 64).map(|i| i * 7919 % 8192).collect();
    TokenWindows::new(&ids, 64).expect("four windows")
}

/// Delete, swap and lens over four windows of 64 tokens.
fn study(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("study");
    group.sample_size(10);
    for backend in Backend::ALL {
        let Ok(device) = backend.device() else { continue };
        let model = config().init(0, &device).expect("the configuration is sound");
        let windows = windows();
        group.bench_function(BenchmarkId::from_parameter(backend), |bencher| {
            bencher.iter(|| black_box(Study::new(&model).run(&windows).expect("it runs")));
        });
    }
}

/// One residual stream against another over four windows of 64 tokens.
fn readout(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("readout");
    group.sample_size(10);
    let Ok(device) = Backend::Flex.device() else { return };
    let model = config().init(0, &device).expect("the configuration is sound");
    let windows = windows();
    let resid = model.embed(windows.batch(0..4, &device));
    for reduction in [Reduction::Host, Reduction::Device] {
        let readout = Readout::new(&model).with_reduction(reduction);
        group.bench_function(BenchmarkId::from_parameter(format!("{reduction:?}")), |bencher| {
            bencher.iter(|| {
                let mut scores = [Scores::default()];
                readout.compare(&windows, 0..4, &resid, std::slice::from_ref(&resid), &mut scores).expect("it runs");
                black_box(scores)
            });
        });
    }
}

criterion_group!(benches, study, readout);
criterion_main!(benches);
