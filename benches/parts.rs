//! The parts that a sweep is made of, on each backend, beside a large matrix product: `cargo bench --bench parts`.
//!
//! Throughputs are floating-point operations (a multiplication and an addition are two), so `Gelem/s` reads as GFLOP/s.

use std::hint::black_box;

use burn::tensor::{Distribution, Tensor};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stratigraph::core::{Activation, Precision, Replacement};
use stratigraph::models::LoadOptions;
use stratigraph::prelude::*;
use stratigraph::probes::scores::Scores;
use stratigraph_benches::{backends, config_of_width, flops_of_block, is_benchmark, random_windows};

const SEQ_LEN: usize = 128;

/// A model of each width on each backend, in f32 and where the backend can do it in bf16, with a number of tokens to run; the
/// width and the tokens name the size.
fn each_size(mut measure: impl FnMut(&str, &Decoder, usize)) {
    let sizes: &[(usize, usize)] = if is_benchmark() { &[(128, 256), (576, 512)] } else { &[(128, 128)] };
    for (backend, device) in backends() {
        for &(d_model, tokens) in sizes {
            for (precision, suffix) in [(Precision::F32, ""), (Precision::Bf16, "-bf16")] {
                let options = LoadOptions::default().with_precision(precision);
                match config_of_width(d_model).init_with(0, &options, &device) {
                    Ok(model) => measure(&format!("{backend}{suffix}"), &model, tokens),
                    Err(reason) => assert!(precision != Precision::F32, "{reason}"),
                }
            }
        }
    }
}

fn size(model: &Decoder, tokens: usize) -> String {
    format!("{}wide_{tokens}tokens", model.d_model())
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group
}

fn resid(model: &Decoder, tokens: usize) -> Tensor<3> {
    let shape = [tokens / SEQ_LEN, SEQ_LEN, model.d_model()];
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &model.device())
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
    each_size(|backend, model, tokens| {
        let resid = resid(model, tokens);
        group.throughput(Throughput::Elements(flops_of_block(model.config(), tokens, SEQ_LEN)));
        group.bench_function(BenchmarkId::new(backend, size(model, tokens)), |bencher| {
            bencher.iter(|| {
                model.block(Site { slot: 0, layer: 0 }, resid.clone(), &mut NoTap).expect("it runs").into_data()
            });
        });
    });
}

/// A layer without its MLP, with fused attention and with a tap that wants the pattern.
fn attention(criterion: &mut Criterion) {
    let mut group = group(criterion, "attention");
    each_size(|backend, model, tokens| {
        let resid = resid(model, tokens);
        for (name, hooks) in [("fused", [].into()), ("explicit", [Hook::Pattern].into())] {
            group.bench_function(BenchmarkId::new(format!("{name}/{backend}"), size(model, tokens)), |bencher| {
                bencher.iter(|| {
                    let site = Site { slot: 0, layer: 0 };
                    model.block(site, resid.clone(), &mut WithoutMlp(hooks)).expect("it runs").into_data()
                });
            });
        }
    });
}

/// Replaces what the MLP writes by nothing, so that it is not computed, and wants some other hooks.
struct WithoutMlp(HookSet);

impl Tap for WithoutMlp {
    fn hooks(&self) -> HookSet {
        self.0.with(Hook::MlpOut)
    }

    fn visit(&mut self, _: Site, _: Hook, activation: Activation) -> Result<Activation, CoreError> {
        Ok(activation)
    }

    fn replacement(&mut self, _: Site, hook: Hook, _: [usize; 3]) -> Result<Option<Replacement>, CoreError> {
        Ok((hook == Hook::MlpOut).then_some(Replacement::Zero))
    }
}

/// Logits and every metric of one residual stream against another.
fn unembed_metrics(criterion: &mut Criterion) {
    let mut group = group(criterion, "unembed_metrics");
    each_size(|backend, model, tokens| {
        let (d_model, d_vocab) = (model.d_model(), model.d_vocab());
        let windows = random_windows(model.config(), tokens / SEQ_LEN, SEQ_LEN);
        let (clean, other) = (resid(model, tokens), resid(model, tokens));
        let readout = Readout::new(model);
        group.throughput(Throughput::Elements(4 * (tokens * d_model * d_vocab) as u64)); // of both streams
        let id = format!("{d_model}wide_{d_vocab}vocab_{tokens}tokens");
        group.bench_function(BenchmarkId::new(backend, id), |bencher| {
            bencher.iter(|| {
                let mut scores = [Scores::default(), Scores::default()];
                let streams = vec![clean.clone(), other.clone()];
                readout.compare(&windows, 0..windows.n_sequences(), streams, 0, &mut scores).expect("it runs");
                black_box(scores)
            });
        });
    });
}

criterion_group!(benches, matmul, block, attention, unembed_metrics);
criterion_main!(benches);
