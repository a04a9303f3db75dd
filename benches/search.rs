//! Greedy removal of four layers, compared with evaluating its candidates one by one, in turn: `cargo bench --bench search`.
//!
//! A model of SmolLM2-135M's shape with random weights, or the one that `STRATIGRAPH_MODEL` names; the search runs on 4 windows of
//! 128 tokens. One by one, each candidate of each round runs alone from the embedding on all windows and is read out.
//! `STRATIGRAPH_ROUNDS` says how often both are timed.

use std::time::Instant;

use stratigraph::prelude::*;
use stratigraph_benches::{config_of_width, is_benchmark, random_windows, variable};

const SEARCHED: usize = 4;
const SEQ_LEN: usize = 128;
const REMOVED: usize = 4;
const ROUNDS: usize = 3;

fn main() {
    let rounds = variable("STRATIGRAPH_ROUNDS").map_or(ROUNDS, |n| n.parse().expect("a number"));
    let (rounds, n_layers) = if is_benchmark() { (rounds, 30) } else { (1, 6) };
    let model = model(n_layers);
    // Half of the windows is held out.
    let windows = random_windows(model.config(), 2 * SEARCHED, SEQ_LEN);
    println!("{REMOVED} of {} layers, {SEARCHED} windows of {SEQ_LEN} tokens", model.n_layers());
    println!("{:>14}{:>14}{:>10}{:>12}", "search, s", "one by one, s", "ratio", "candidates");
    for _ in 0..rounds {
        let mut plans = Vec::new();
        let ours = timed(|| plans = search(&model, &windows));
        let n_candidates: usize = plans.iter().map(|plan| plan.steps().len()).sum();
        let naive = timed(|| plans.iter().for_each(|plan| one_by_one(&model, &windows, plan)));
        println!("{ours:>14.2}{naive:>14.2}{:>9.1}%{n_candidates:>12}", 100.0 * ours / naive);
    }
}

fn model(n_layers: usize) -> Decoder {
    let device = Backend::Flex.device().expect("flex is a default feature");
    match variable("STRATIGRAPH_MODEL") {
        Some(path) => Checkpoint::open(path).and_then(|it| it.load(&device)).expect("the model can be loaded"),
        None => config_of_width(576).with_n_layers(n_layers).init(0, &device).expect("it is sound"),
    }
}

fn timed(run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    started.elapsed().as_secs_f64()
}

/// The plan that each round begins with.
fn search(model: &Decoder, windows: &TokenWindows) -> Vec<LayerPlan> {
    let mut loss = ModelObjective::new(model, windows, "nll").expect("the windows fit");
    let search = Search::new(SearchOptions::removing(REMOVED, Operator::Delete)).expect("it is a search");
    let mut state = search.start(&Intervention::none(model.n_layers()), &loss).expect("there are windows");
    let mut plans = Vec::new();
    while state.stop.is_none() {
        plans.push(state.best().plan().clone());
        search.round(&mut state, &mut loss).expect("it runs");
    }
    plans.truncate(REMOVED); // the last round finds that there is nothing left to do
    plans
}

/// Every candidate of a round, alone.
fn one_by_one(model: &Decoder, windows: &TokenWindows, plan: &LayerPlan) {
    let mut loss = ModelObjective::new(model, windows, "nll").expect("the windows fit");
    let searched: Vec<usize> = (0..SEARCHED).collect();
    for slot in 0..plan.steps().len() {
        let candidate = plan.delete(slot).expect("it is a slot of the plan");
        loss.score(&[candidate.into()], &searched).expect("it runs");
    }
}
