//! Zeroing every head, compared with the naive way, in turn: `cargo bench --bench heads`.
//!
//! A model of SmolLM2-135M's shape with random weights, or the one that `STRATIGRAPH_MODEL` names; 4 windows of 64 tokens. For
//! each head the naive way runs the unchanged and the changed model from the embedding and reads both out in full. It is timed
//! on every tenth head and scaled; `STRATIGRAPH_EVERY=1` times all of them.

use std::time::Instant;

use stratigraph::prelude::*;
use stratigraph::probes::scores::Scores;
use stratigraph_benches::{config_of_width, is_benchmark, random_windows, variable};

const WINDOWS: usize = 4;
const SEQ_LEN: usize = 64;
const ROUNDS: usize = 3;

fn main() {
    let (rounds, n_layers) = if is_benchmark() { (ROUNDS, 30) } else { (1, 2) };
    let every = variable("STRATIGRAPH_EVERY").map_or(10, |n| n.parse().expect("a number"));
    let model = model(n_layers);
    let windows = random_windows(model.config(), WINDOWS, SEQ_LEN);
    let heads = heads(&model, &windows);
    println!("{} heads, {WINDOWS} windows of {SEQ_LEN} tokens", heads.len());
    println!("{:>14}{:>14}{:>14}{:>10}", "deletions, s", "heads, s", "naive, s", "ratio");
    for _ in 0..rounds {
        let deletions = timed(|| study(&model, &windows, Sweep::delete()));
        let ours = timed(|| study(&model, &windows, Sweep::heads(EditKind::Zero)));
        let some: Vec<_> = heads.iter().step_by(every).collect();
        let naive = timed(|| some.iter().for_each(|head| naive(&model, &windows, head)));
        let naive = naive * heads.len() as f64 / some.len() as f64;
        println!("{deletions:>14.2}{ours:>14.2}{naive:>14.2}{:>9.1}%", 100.0 * ours / naive);
    }
}

fn model(n_layers: usize) -> Decoder {
    let device = Backend::Flex.device().expect("flex is a default feature");
    match variable("STRATIGRAPH_MODEL") {
        Some(path) => Checkpoint::open(path).and_then(|it| it.load(&device)).expect("the model can be loaded"),
        None => config_of_width(576).with_n_layers(n_layers).init(0, &device).expect("it is sound"),
    }
}

fn heads(model: &Decoder, windows: &TokenWindows) -> Vec<Intervention> {
    let context = SweepContext::new(model.shape(), windows.seq_len());
    Sweep::heads(EditKind::Zero).points(&context).expect("the model has heads").interventions
}

fn timed(run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    started.elapsed().as_secs_f64()
}

fn study(model: &Decoder, windows: &TokenWindows, sweep: Sweep) {
    Study::new(model).add(sweep).run(windows).expect("it runs");
}

fn naive(model: &Decoder, windows: &TokenWindows, head: &Intervention) {
    let mut scores = [Scores::default(), Scores::default()];
    let clean = model.run_with_edits(windows, &[]).expect("it runs");
    let changed = head.run(model, windows).expect("it runs");
    let readout = Readout::new(model);
    readout.compare(windows, 0..windows.n_sequences(), vec![clean, changed], 0, &mut scores).expect("it runs");
}
