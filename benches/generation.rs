//! How near generation is to the rate at which the machine reads memory: `cargo bench --bench generation`.
//!
//! A step with one new token multiplies every weight once, so that it takes at least the time of reading all of them. The model
//! has SmolLM2-135M's shape and random weights, or is the one that `STRATIGRAPH_MODEL` names. The rate of memory is the best of
//! several sums over a buffer as large as the weights, on all threads, in the same run. `STRATIGRAPH_DEVICE=wgpu` for another
//! device.

use std::time::Instant;

use stratigraph::prelude::*;
use stratigraph_benches::{config_of_width, is_benchmark, variable};

fn main() {
    let benchmarks = is_benchmark();
    let backend: Backend = variable("STRATIGRAPH_DEVICE").map_or(Backend::Flex, |name| name.parse().expect("a device"));
    let device = backend.device().expect("the device can be used");
    let (n_layers, n_new, rounds) = if benchmarks { (30, 64, 5) } else { (2, 4, 1) };
    let model = match variable("STRATIGRAPH_MODEL") {
        Some(path) => Checkpoint::open(path).expect("a model").load(&device).expect("it is whole"),
        None => config_of_width(576).with_n_layers(n_layers).init(0, &device).expect("it is sound"),
    };
    let bytes = read_bytes(&model);
    println!("{:.0} MB of weights are read for a token on {backend}", bytes as f64 / 1e6);
    step_seconds(&model, 1, 8, 2); // warms up
    for _ in 0..rounds {
        let before = memory_rate(bytes);
        for (batch, n_prompt) in [(1, 8), (1, 100), (4, 8)] {
            let seconds = step_seconds(&model, batch, n_prompt, n_new);
            let rate = f64::max(before, memory_rate(bytes));
            let least = bytes as f64 / rate;
            println!(
                "{batch} texts after {n_prompt:3} tokens: {:6.1} tokens/s, {:5.1} ms a step; memory {:5.1} GB/s: {:3.0} %",
                batch as f64 / seconds,
                1e3 * seconds,
                rate / 1e9,
                100.0 * least / seconds
            );
        }
    }
}

/// Bytes of all weights that a step multiplies; of an embedding that is not the head, too, one row is read alone.
fn read_bytes(model: &Decoder) -> usize {
    let config = model.config();
    let embedding = config.d_vocab * config.d_model * size_of::<f32>();
    model.n_bytes() - if config.head == stratigraph::models::Head::Untied { embedding } else { 0 }
}

/// Seconds of a step with one new token of each of `batch` texts, prompts left out; the median over steps.
fn step_seconds(model: &Decoder, batch: usize, n_prompt: usize, n_new: usize) -> f64 {
    let prompt = |row: usize| (0..n_prompt).map(|i| ((i + row) * 7919 % model.d_vocab()) as u32).collect();
    let prompts: Vec<Vec<u32>> = (0..batch).map(prompt).collect();
    let (mut steps, mut last) = (Vec::new(), None);
    let generator = Generator::new(model).with_max_new_tokens(n_new + 1);
    let shown = |event: &stratigraph::generate::Event| {
        if event.prompt + 1 == batch {
            let now = Instant::now();
            steps.extend(last.replace(now).map(|last: Instant| (now - last).as_secs_f64()));
        }
        true
    };
    generator.run_with(&prompts, &mut NoTap, shown).expect("it runs");
    steps.sort_by(f64::total_cmp);
    steps[steps.len() / 2]
}

/// Bytes that all threads together read in a second, the best of five passes over a buffer.
fn memory_rate(bytes: usize) -> f64 {
    let numbers = vec![1.0f32; bytes / size_of::<f32>()];
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    let pass = |_| {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for part in numbers.chunks(numbers.len().div_ceil(n_threads)) {
                scope.spawn(move || std::hint::black_box(sum(part)));
            }
        });
        bytes as f64 / started.elapsed().as_secs_f64()
    };
    (0..5).map(pass).fold(0.0, f64::max)
}

/// A sum in as many lanes as keep the loads in flight.
fn sum(numbers: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 64];
    let (groups, rest) = numbers.as_chunks::<64>();
    for group in groups {
        lanes.iter_mut().zip(group).for_each(|(lane, x)| *lane += x);
    }
    lanes.iter().chain(rest).sum()
}
