//! The parts that a sweep is made of, on each backend, beside a large matrix product: `cargo bench --bench parts`.
//!
//! Throughputs are floating-point operations (a multiplication and an addition are two), so `Gelem/s` reads as GFLOP/s.

mod common;

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Tensor};
use common::{backends, config_of_width, flops_of_block, is_benchmark, random_windows};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stratigraph::prelude::*;

const SEQ_LEN: usize = 128;

/// Width of the residual stream, tokens.
fn sizes() -> &'static [(usize, usize)] {
    if is_benchmark() { &[(128, 256), (576, 512)] } else { &[(128, 128)] }
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group
}

fn resid(tokens: usize, d_model: usize, device: &Device) -> Tensor<3> {
    Tensor::random([tokens / SEQ_LEN, SEQ_LEN, d_model], Distribution::Normal(0.0, 1.0), device)
}

/// What the backend can do at best.
fn matmul(criterion: &mut Criterion) {
    let mut group = group(criterion, "matmul");
    for (backend, device) in backends() {
        for n in if is_benchmark() { [512, 1024] } else { [64, 128] } {
            let matrix = || Tensor::<2>::random([n, n], Distribution::Normal(0.0, 1.0), &device);
            let (a, b) = (matrix(), matrix());
            group.throughput(Throughput::Elements(2 * (n as u64).pow(3)));
            group.bench_function(BenchmarkId::new(backend.to_string(), format!("{n}x{n}x{n}")), |bencher| {
                bencher.iter(|| a.clone().matmul(b.clone()).into_data());
            });
        }
    }
}

fn block(criterion: &mut Criterion) {
    let mut group = group(criterion, "block");
    for (backend, device) in backends() {
        for (d_model, tokens) in sizes().iter().copied() {
            let config = config_of_width(d_model);
            let model = config.init(0, &device).expect("the configuration is sound");
            let resid = resid(tokens, d_model, &device);
            group.throughput(Throughput::Elements(flops_of_block(&config, tokens, SEQ_LEN)));
            group.bench_function(
                BenchmarkId::new(backend.to_string(), format!("{d_model}wide_{tokens}tokens")),
                |bencher| {
                    bencher.iter(|| model.block(Site { slot: 0, layer: 0 }, resid.clone(), &mut NoTap).into_data());
                },
            );
        }
    }
}

/// Half a layer, fused and with its pattern shown to a tap.
fn attention(criterion: &mut Criterion) {
    let mut group = group(criterion, "attention");
    for (backend, device) in backends() {
        for (d_model, tokens) in sizes().iter().copied() {
            let model = config_of_width(d_model).init(0, &device).expect("the configuration is sound");
            let resid = resid(tokens, d_model, &device);
            for (name, hooks) in [("fused", &[][..]), ("explicit", &[Hook::Pattern])] {
                let id = BenchmarkId::new(format!("{name}/{backend}"), format!("{d_model}wide_{tokens}tokens"));
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        let mut tap = ActivationCache::of(hooks.iter().copied());
                        let site = Site { slot: 0, layer: 0 };
                        let out = model.sublayer(site, stratigraph::core::Sublayer::Attention, resid.clone(), &mut tap);
                        out.expect("it has halves").into_data()
                    });
                });
            }
        }
    }
}

/// Logits and every metric of one residual stream against another.
fn unembed_metrics(criterion: &mut Criterion) {
    let mut group = group(criterion, "unembed_metrics");
    for (backend, device) in backends() {
        for (d_model, tokens) in sizes().iter().copied() {
            let config = config_of_width(d_model);
            let model = config.init(0, &device).expect("the configuration is sound");
            let windows = random_windows(&config, tokens / SEQ_LEN, SEQ_LEN);
            let (clean, other) = (resid(tokens, d_model, &device), resid(tokens, d_model, &device));
            let readout = Readout::new(&model);
            group.throughput(Throughput::Elements(4 * (tokens * d_model * config.d_vocab) as u64)); // of both streams
            let id = format!("{d_model}wide_{}vocab_{tokens}tokens", config.d_vocab);
            group.bench_function(BenchmarkId::new(backend.to_string(), id), |bencher| {
                bencher.iter(|| {
                    let mut scores = [Scores::default()];
                    let others = std::slice::from_ref(&other);
                    readout.compare(&windows, 0..windows.n_sequences(), &clean, others, &mut scores).expect("it runs");
                    black_box(scores)
                });
            });
        }
    }
}

criterion_group!(benches, matmul, block, attention, unembed_metrics);
criterion_main!(benches);
