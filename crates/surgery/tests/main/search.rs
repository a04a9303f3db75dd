//! Searches on objectives whose best plans are known.

use stratigraph_core::SplitMix64;
use stratigraph_surgery::search::{
    Goal, Method, Objective, Operator, Search, SearchOptions, SearchState, Stop, Validated, Verdict,
};
use stratigraph_surgery::{Intervention, Result, SurgeryError};

const N_LAYERS: usize = 12;
const N_WINDOWS: usize = 64;

/// A cost of each plan, and noise: what all plans share on a window, and what each has of its own.
struct Noisy<F> {
    cost: F,
    seed: u64,
    goal: Goal,
    /// Windows that were evaluated, all plans together.
    evaluated: usize,
    /// Calls that are left before it fails.
    calls: usize,
}

impl<F: Fn(&Intervention) -> f64> Noisy<F> {
    fn new(seed: u64, cost: F) -> Self {
        Self { cost, seed, goal: Goal::Lowest, evaluated: 0, calls: usize::MAX }
    }

    fn noise(&self, what: &str, window: usize) -> f64 {
        let hash = what.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        SplitMix64::new(hash ^ SplitMix64::new(self.seed << 32 | window as u64).bits()).normal()
    }
}

impl<F: Fn(&Intervention) -> f64> Objective for Noisy<F> {
    type Error = SurgeryError;

    fn goal(&self) -> Goal {
        self.goal
    }

    fn n_windows(&self) -> usize {
        N_WINDOWS
    }

    fn score(&mut self, plans: &[Intervention], windows: &[usize]) -> Result<Vec<Vec<f64>>> {
        self.calls = self.calls.checked_sub(1).ok_or(SurgeryError::NothingToRun)?;
        self.evaluated += plans.len() * windows.len();
        let sign = if self.goal == Goal::Highest { -1.0 } else { 1.0 };
        let score = |plan: &Intervention, window: usize| {
            let own = self.noise(&plan.to_string(), window);
            sign * ((self.cost)(plan) + self.noise("all plans", window) + 0.1 * own)
        };
        Ok(plans.iter().map(|plan| windows.iter().map(|&window| score(plan, window)).collect()).collect())
    }
}

/// Layer 5 is the cheapest one to remove, but 3 and 7 cost less together than any other two: the best pair is not found by
/// removing the best layer first.
fn trap(plan: &Intervention) -> f64 {
    let runs = |layer: usize| plan.plan().steps().iter().any(|step| step.layers() == [layer]);
    let single = |layer: usize| match layer {
        5 => 0.3,
        3 => 0.45,
        7 => 0.55,
        _ => 1.0 + 0.05 * layer as f64,
    };
    let removed = (0..N_LAYERS).filter(|layer| !runs(*layer));
    removed.map(single).sum::<f64>() - if runs(3) || runs(7) { 0.0 } else { 0.8 }
}

fn search(options: SearchOptions) -> Search {
    Search::new(options).unwrap()
}

fn full() -> Intervention {
    Intervention::none(N_LAYERS)
}

#[test]
fn a_beam_finds_the_best_pair_and_a_greedy_search_does_not() {
    for seed in 0..20 {
        let pruning = SearchOptions::removing(2, Operator::Delete).with_seed(seed);
        let greedy = search(pruning.clone()).run(&full(), &mut Noisy::new(seed, trap)).unwrap();
        assert_eq!(greedy.state.best().to_string(), "0..3-4-6..12");
        let beam = search(pruning.with_method(Method::Beam { width: 4 }));
        let mut objective = Noisy::new(seed, trap);
        let found = beam.run(&full(), &mut objective).unwrap();
        assert_eq!(found.state.best().to_string(), "0..3-4..7-8..12", "seed {seed}");
        let Validated { n_windows, comparisons, .. } = &found.validated;
        assert_eq!((*n_windows, comparisons.len(), comparisons[0].verdict), (N_WINDOWS / 2, 1, Verdict::Worse));
        let [low, high] = comparisons[0].interval;
        assert!(low < high && (comparisons[0].difference - 0.2).abs() < 0.1, "{comparisons:?}");
        // Every window of both plans that were validated, and of the candidates that were not dropped.
        assert_eq!(objective.evaluated, found.state.evaluated + N_WINDOWS);
        let one_by_one = found.state.n_tried * N_WINDOWS / 2;
        assert!(found.state.evaluated * 2 < one_by_one, "{} of {one_by_one}", found.state.evaluated);
    }
}

/// Plans of which none is better than another.
fn nothing(_: &Intervention) -> f64 {
    1.0
}

#[test]
fn fewer_than_one_in_twenty_validated_winners_are_falsely_better() {
    let (mut uncorrected, mut corrected) = (0, 0);
    for seed in 0..200 {
        let options =
            SearchOptions::changing(2, [Operator::Swap]).with_method(Method::Beam { width: 3 }).with_seed(seed);
        let found = search(options).run(&full(), &mut Noisy::new(seed + 1000, nothing)).unwrap();
        match found.validated.comparisons[0].verdict {
            Verdict::Better => corrected += 1,
            Verdict::BetterUncorrected => uncorrected += 1,
            _ => {}
        }
    }
    assert!(corrected + uncorrected < 10, "{corrected} and {uncorrected} of 200");
    assert!(corrected <= 1, "{corrected} of 200 after the correction");
}

/// Running layers 4 and 5 twice is worth something, and nothing else is.
fn worth_repeating(plan: &Intervention) -> f64 {
    let layers: Vec<_> = plan.plan().steps().iter().map(|step| step.layers()[0]).collect();
    if layers.windows(4).any(|four| four == [4, 5, 4, 5]) { 0.5 } else { 1.0 }
}

#[test]
fn a_plan_that_is_better_is_found_and_validated() {
    for goal in [Goal::Lowest, Goal::Highest] {
        for seed in 0..20 {
            let options = SearchOptions::changing(1, [Operator::RepeatBlock, Operator::Swap]).with_longest_block(3);
            let mut objective = Noisy { goal, ..Noisy::new(seed, worth_repeating) };
            let found = search(options.with_seed(seed)).run(&full(), &mut objective).unwrap();
            assert_eq!(found.state.best().to_string(), "0..6-4..12", "seed {seed}");
            assert_eq!(found.validated.comparisons[0].verdict, Verdict::Better, "seed {seed}");
            assert_eq!(found.state.stop, Some(Stop::Finished));
        }
    }
}

#[test]
fn a_search_that_was_killed_ends_as_one_that_was_not() {
    let methods = [Method::Greedy, Method::Beam { width: 3 }, Method::Random { restarts: 3 }];
    for method in methods {
        let options = SearchOptions::removing(2, Operator::Delete).with_operator(Operator::Swap).with_changes(1);
        let search = search(options.with_method(method));
        let whole = search.run(&full(), &mut Noisy::new(7, trap)).unwrap();
        let mut n_kills = 0;
        for calls in 0.. {
            // What is on disk is the state after the last round that ended.
            let mut objective = Noisy { calls, ..Noisy::new(7, trap) };
            let mut state = search.start(&full(), &objective).unwrap();
            let mut saved = serde_json::to_string(&state).unwrap();
            while state.stop.is_none() && search.round(&mut state, &mut objective).is_ok() {
                saved = serde_json::to_string(&state).unwrap();
            }
            if state.stop.is_some() {
                break;
            }
            n_kills += 1;
            let mut state: SearchState = serde_json::from_str(&saved).unwrap();
            let mut objective = Noisy::new(7, trap);
            while state.stop.is_none() {
                search.round(&mut state, &mut objective).unwrap();
            }
            assert_eq!(state, whole.state, "{method:?}, killed after {calls} calls");
        }
        assert!(n_kills > 5, "{n_kills}");
    }
}

#[test]
fn the_first_random_start_is_greedy_and_the_others_may_be_better() {
    let pruning = SearchOptions::removing(2, Operator::Delete);
    let random = search(pruning.with_method(Method::Random { restarts: 8 }));
    let found = random.run(&full(), &mut Noisy::new(2, trap)).unwrap();
    assert_eq!(found.state.rounds[1].best.to_string(), "0..3-4-6..12");
    assert_eq!(found.state.rounds.len(), 8 * 2 + 1);
    let best = found.state.rounds.iter().filter(|round| round.best.plan().steps().len() == N_LAYERS - 2);
    let best = best.min_by(|a, b| trap(&a.best).total_cmp(&trap(&b.best))).unwrap();
    assert_eq!(*found.state.best(), best.best, "the best of all starts is kept");
}

#[test]
fn a_budget_ends_a_search() {
    let pruning = SearchOptions::removing(3, Operator::Delete);
    let all = search(pruning.clone()).run(&full(), &mut Noisy::new(1, trap)).unwrap().state;
    assert_eq!((all.stop, all.best().plan().steps().len()), (Some(Stop::Finished), N_LAYERS - 3));
    for budget in [10, all.rounds[0].evaluated, all.evaluated - 1, all.evaluated] {
        let found = search(pruning.clone().with_budget(budget)).run(&full(), &mut Noisy::new(1, trap)).unwrap().state;
        assert!(found.evaluated <= budget, "{} of {budget}", found.evaluated);
        let is_whole = budget == all.evaluated || found.best().plan().steps().len() == N_LAYERS - 3;
        assert_eq!(found.stop == Some(Stop::Finished), is_whole, "{budget}");
    }
}

#[test]
fn a_start_that_the_budget_ends_before_its_first_round_is_not_compared() {
    let options = SearchOptions::changing(1, [Operator::RepeatBlock, Operator::Swap]);
    let greedy = search(options.clone()).run(&full(), &mut Noisy::new(5, worth_repeating)).unwrap().state;
    for more in [0, 1] {
        let random = options.clone().with_method(Method::Random { restarts: 2 });
        let random = random.with_budget(greedy.evaluated + more);
        let found = search(random).run(&full(), &mut Noisy::new(5, worth_repeating)).unwrap().state;
        assert_eq!((found.best(), found.stop), (greedy.best(), Some(Stop::Budget)));
    }
}
