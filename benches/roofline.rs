//! How near a sweep is to the rate of a large matrix product on the same backend: `cargo bench --bench roofline`.
//!
//! Every deletion and every swap of a model of SmolLM2's shape with random weights, 8 windows of 128 tokens; operations are
//! those that the prefix tree needs, and no others: products with weights, scores and mixtures of causal attention,
//! logits. `STRATIGRAPH_DEVICE=wgpu` for another device, `STRATIGRAPH_LAYERS=6` for fewer layers than 30,
//! `STRATIGRAPH_PRECISION=bf16` for weights in 16 bit; the large product is f32 in any case.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use stratigraph::core::Precision;
use stratigraph::models::LoadOptions;
use stratigraph::prelude::*;
use stratigraph_benches::{
    config_of_width, deletions_and_swaps, flops_of_block, is_benchmark, random_windows, variable,
};

const SEQ_LEN: usize = 128;

fn main() {
    let benchmarks = is_benchmark();
    let (rounds, windows, side) = if benchmarks { (3, 8, 2048) } else { (1, 1, 256) };
    let n_layers =
        variable("STRATIGRAPH_LAYERS").map_or(if benchmarks { 30 } else { 2 }, |n| n.parse().expect("a number"));
    let backend: Backend = variable("STRATIGRAPH_DEVICE").map_or(Backend::Flex, |name| name.parse().expect("a device"));
    let device = backend.device().expect("the device can be used");
    let config = config_of_width(576).with_n_layers(n_layers);
    let precision =
        variable("STRATIGRAPH_PRECISION").map_or_else(Precision::default, |name| name.parse().expect("known"));
    let options = LoadOptions::default().with_precision(precision);
    let model = config.init_with(0, &options, &device).expect("it is sound");
    let windows = random_windows(&config, windows, SEQ_LEN);
    let (blocks, logits) = operations(&model, &windows);
    println!(
        "{n_layers} layers on {backend} in {precision}: {:.2} TFLOP in blocks, {:.2} in logits",
        blocks / 1e12,
        logits / 1e12
    );
    product(side, &device); // warms up
    for _ in 0..rounds {
        let rate = product(side, &device);
        let started = Instant::now();
        Study::new(&model).add(Sweep::delete()).add(Sweep::swap()).run(&windows).expect("it runs");
        let seconds = started.elapsed().as_secs_f64();
        let again = product(side, &device);
        let (sweep, large) = ((blocks + logits) / seconds / 1e9, f64::max(rate, again));
        println!(
            "sweep {seconds:7.1} s, {sweep:6.1} GFLOP/s; {side}^3 product {large:6.1}: {:.0} %",
            100.0 * sweep / large
        );
    }
}

/// Operations of the sweep's blocks and of its logits.
fn operations(model: &Decoder, windows: &TokenWindows) -> (f64, f64) {
    let clean = Intervention::none(model.n_layers());
    let executor = Executor::new(std::iter::once(clean).chain(deletions_and_swaps(model, windows)));
    let config = model.config();
    let tokens = windows.ids().len();
    let block = flops_of_block(config, tokens, windows.seq_len());
    let logits = 2 * tokens * config.d_model * config.d_vocab * executor.interventions().len();
    (executor.n_steps() as f64 * block as f64, logits as f64)
}

/// GFLOP/s of a product of two square matrices, the best of five.
fn product(side: usize, device: &Device) -> f64 {
    let matrix = || Tensor::<2>::random([side, side], Distribution::Normal(0.0, 1.0), device);
    let (a, b) = (matrix(), matrix());
    let time = |_| {
        let started = Instant::now();
        std::hint::black_box(a.clone().matmul(b.clone()).into_data());
        started.elapsed().as_secs_f64()
    };
    2.0 * (side as f64).powi(3) / (0..5).map(time).fold(f64::INFINITY, f64::min) / 1e9
}
