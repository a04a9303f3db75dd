//! How the time of a sweep grows with layers, tokens and vocabulary, compared with the naive way's: `cargo bench --bench growth`.
//!
//! Random weights: what is computed does not depend on what they are. The naive way runs the model from its start for
//! every intervention, and the clean model again beside it. Exponents are fitted by least squares on logarithms.

use std::time::Instant;

use burn::tensor::Device;
use stratigraph::prelude::*;
use stratigraph::probes::scores::Scores;
use stratigraph_benches::{config_of_width, deletions_and_swaps, is_benchmark, random_windows};

#[derive(Debug, Clone, Copy)]
struct Size {
    n_layers: usize,
    tokens: usize,
    d_vocab: usize,
}

/// A size by its number of steps along an axis.
type Scaled = fn(usize) -> Size;

const USUAL: Size = Size { n_layers: 12, tokens: 512, d_vocab: 4096 };
const SEQ_LEN: usize = 64;

fn main() {
    let steps: &[usize] = if is_benchmark() { &[1, 2, 4, 8] } else { &[1] };
    let device = Backend::Flex.device().expect("flex is a default feature");
    let axes: [(&str, Scaled); 3] = [
        ("layers", |step| Size { n_layers: 6 * step, ..USUAL }),
        ("tokens", |step| Size { tokens: 128 * step, ..USUAL }),
        ("vocabulary", |step| Size { d_vocab: 2048 * step, ..USUAL }),
    ];
    sweep(USUAL, &device); // warms up
    println!("{:<12}{:>8}{:>12}{:>12}{:>8}", "", "", "ours, s", "naive, s", "ratio");
    for (name, size) in axes {
        let mut measured = Vec::new();
        for &step in steps {
            let [ours, naive] = measure(size(step), &device);
            measured.push([ours, naive]);
            let Size { n_layers, tokens, d_vocab } = size(step);
            let value = [("layers", n_layers), ("tokens", tokens), ("vocabulary", d_vocab)];
            let value = value.iter().find(|(axis, _)| *axis == name).expect("it is an axis").1;
            println!("{name:<12}{value:>8}{ours:>12.3}{naive:>12.3}{:>8.1}", naive / ours);
        }
        if steps.len() > 1 {
            let exponent = |way: usize| exponent(steps, &measured.iter().map(|times| times[way]).collect::<Vec<_>>());
            println!("{:<20}{:>12.2}{:>12.2}\n", "  fitted exponent", exponent(0), exponent(1));
        }
    }
}

/// The least of three times, ours and the naive way's, in turn.
fn measure(size: Size, device: &Device) -> [f64; 2] {
    let mut least = [f64::INFINITY; 2];
    for _ in 0..3 {
        least[0] = least[0].min(sweep(size, device));
        least[1] = least[1].min(naive(size, device));
    }
    least
}

fn model(Size { n_layers, tokens, d_vocab }: Size, device: &Device) -> (Decoder, TokenWindows) {
    let config = config_of_width(128).with_n_layers(n_layers).with_d_vocab(d_vocab);
    (config.init(0, device).expect("it is sound"), random_windows(&config, tokens / SEQ_LEN, SEQ_LEN))
}

fn sweep(size: Size, device: &Device) -> f64 {
    let (model, windows) = model(size, device);
    let started = Instant::now();
    Study::new(&model).add(Sweep::delete()).add(Sweep::swap()).run(&windows).expect("it runs");
    started.elapsed().as_secs_f64()
}

fn naive(size: Size, device: &Device) -> f64 {
    let (model, windows) = model(size, device);
    let interventions = deletions_and_swaps(&model, &windows);
    let readout = Readout::new(&model);
    let started = Instant::now();
    for intervention in interventions {
        let mut scores = [Scores::default(), Scores::default()];
        let clean = model.run_with_edits(&windows, &[]).expect("it runs");
        let other = intervention.run(&model, &windows).expect("it runs");
        readout.compare(&windows, 0..windows.n_sequences(), vec![clean, other], 0, &mut scores).expect("it runs");
    }
    started.elapsed().as_secs_f64()
}

/// The slope of log time over log size.
fn exponent(sizes: &[usize], times: &[f64]) -> f64 {
    let points: Vec<_> = sizes.iter().zip(times).map(|(&size, time)| ((size as f64).ln(), time.ln())).collect();
    let n = points.len() as f64;
    let (x_mean, y_mean) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let covariance: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    covariance / points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum::<f64>()
}
