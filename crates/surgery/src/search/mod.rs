//! Searches over plans: which layers can be removed, which block is worth running twice ([`Search`]).
//!
//! A search makes [`Operator`]s' changes of a plan round by round, for an [`Objective`]. The candidates of a round are raced: all run
//! on a few windows, together, so that they share their first layers; after each sample the worse half is dropped, and so are all
//! that are significantly worse than the best by paired differences over windows; the rest continue on twice as many windows. The
//! winner is the best of many on the windows that it was selected on, so its number there is too good. [`Search::validate`] measures it again
//! on windows that the search has not seen.
//!
//! ```
//! use stratigraph_surgery::search::{Objective, Operator, Search, SearchOptions};
//! use stratigraph_surgery::{Intervention, SurgeryError};
//!
//! /// Layer 2 does nothing, all others are worth a nat.
//! struct Example;
//! impl Objective for Example {
//!     type Error = SurgeryError;
//!     fn n_windows(&self) -> usize { 8 }
//!     fn score(&mut self, plans: &[Intervention], windows: &[usize]) -> Result<Vec<Vec<f64>>, SurgeryError> {
//!         let loss = |plan: &Intervention, window: usize| {
//!             let steps = plan.plan().steps().iter();
//!             6.0 - steps.filter(|step| step.layers() != [2]).count() as f64 + 0.01 * window as f64
//!         };
//!         Ok(plans.iter().map(|plan| windows.iter().map(|&window| loss(plan, window)).collect()).collect())
//!     }
//! }
//!
//! let search = Search::new(SearchOptions::removing(1, Operator::Delete))?;
//! let found = search.run(&Intervention::none(4), &mut Example)?;
//! assert_eq!(found.state.best().to_string(), "0-1-3");
//! assert_eq!(found.validated.comparisons[0].difference, 0.0);
//! # Ok::<(), SurgeryError>(())
//! ```

mod candidate;
mod objective;
mod operator;
mod options;
mod race;
mod state;
mod validation;

use std::collections::BTreeSet;

use stratigraph_core::SplitMix64;
use stratigraph_profile::statistics::{ErrorUnit, WindowErrors};

pub use objective::{Goal, Objective, SearchWindows};
pub use operator::Operator;
pub use options::{Method, SearchOptions};
pub use state::{KeptPlan, Round, SearchState, Stop};
pub use validation::{Comparison, Validated, Verdict};

use self::candidate::Candidate;
use self::race::{Lane, Race, RaceResult};
use self::validation::{Comparer, Measured, mean};
use crate::{Intervention, Result, SurgeryError};

/// A search over plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    options: SearchOptions,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// The search at its end.
    pub state: SearchState,
    /// Its best plan on windows that it has not seen.
    pub validated: Validated,
}

impl Search {
    /// A search.
    ///
    /// # Errors
    /// As [`SearchOptions::check`].
    pub fn new(options: SearchOptions) -> Result<Self> {
        options.check()?;
        Ok(Self { options })
    }

    /// What it does.
    pub fn options(&self) -> &SearchOptions {
        &self.options
    }

    /// Searches from a plan to the end, and validates.
    ///
    /// # Errors
    /// As [`start`](Search::start), [`round`](Search::round) and [`validate`](Search::validate).
    pub fn run<O: Objective + ?Sized>(&self, from: &Intervention, objective: &mut O) -> Result<Found, O::Error> {
        let mut state = self.start(from, objective)?;
        while state.stop.is_none() {
            self.round(&mut state, objective)?;
        }
        let validated = self.validate(&state, &[], objective)?;
        Ok(Found { state, validated })
    }

    /// A search that has not done anything yet.
    ///
    /// # Errors
    /// When there are too few windows for a held-out part, the plan has edits other than sublayers that are zeroed, or fewer layers or
    /// sublayers than are to be removed.
    pub fn start<O: Objective + ?Sized>(&self, from: &Intervention, objective: &O) -> Result<SearchState> {
        let windows = SearchWindows::of(objective, self.options.seed)?;
        let candidate = Candidate::new(from)?;
        let (remove, most) = (self.options.remove, candidate.most_removals(&self.options.operators));
        if remove > most {
            let reason =
                format!("{remove} cannot be removed from `{from}`, since something must be left: at most {most}");
            return Err(SurgeryError::BadSearch { reason });
        }
        let from = candidate.intervention();
        let plans = vec![KeptPlan { intervention: from.clone(), costs: Vec::new() }];
        let (ended, rounds) = (Vec::new(), Vec::new());
        Ok(SearchState {
            windows,
            from,
            plans,
            step: 0,
            restart: 0,
            ended,
            n_tried: 0,
            evaluated: 0,
            rounds,
            stop: None,
        })
    }

    /// Does the next round, unless the search has ended. What it does depends on the state alone.
    ///
    /// # Errors
    /// Those of the objective.
    pub fn round<O: Objective + ?Sized>(&self, state: &mut SearchState, objective: &mut O) -> Result<(), O::Error> {
        if state.stop.is_some() {
            return Ok(());
        }
        let Some(operators) = self.options.operators_at(state.step) else {
            return self.end_start(state, Stop::Finished, objective);
        };
        let candidates = self.candidates(state, &operators)?;
        if candidates.is_empty() {
            return self.end_start(state, Stop::NoImprovement, objective);
        }
        let n_candidates = candidates.len();
        let mut lanes: Vec<_> = candidates.into_iter().map(Lane::new).collect();
        let has_to_be_better = state.step >= self.options.remove;
        if has_to_be_better {
            let kept = state.plans.iter().map(KeptPlan::lane).collect::<Result<Vec<_>>>()?;
            lanes.extend(kept.into_iter().enumerate().map(|(rank, lane)| Lane { stays: rank == 0, ..lane }));
        }
        let Some(race) = self.race(state, self.options.width()).run(lanes, objective)? else {
            return self.end_start(state, Stop::Budget, objective);
        };
        let before = Candidate::new(&state.plans[0].intervention)?;
        let is_better = !has_to_be_better || race.best[0].candidate != before;
        record(state, n_candidates, &race, objective.goal());
        state.plans = race.best.into_iter().map(KeptPlan::of).collect();
        state.step += 1;
        if is_better { Ok(()) } else { self.end_start(state, Stop::NoImprovement, objective) }
    }

    /// Measures the best plan on the held-out windows, and also the plan that the search began with and some others.
    ///
    /// # Errors
    /// Those of the objective, such as when it refuses one of the others.
    pub fn validate<O: Objective + ?Sized>(
        &self,
        state: &SearchState,
        others: &[Intervention],
        objective: &mut O,
    ) -> Result<Validated, O::Error> {
        others.iter().try_for_each(|plan| objective.check(plan))?;
        let held_out = &state.windows.held_out;
        let plans: Vec<_> = [state.best(), &state.from].into_iter().chain(others).cloned().collect();
        let scores = objective.score(&plans, held_out)?;
        let errors = errors_on(held_out, objective);
        let comparer = Comparer { goal: objective.goal(), errors: &errors, n_tried: state.n_tried };
        let measured = plans.iter().zip(&scores).skip(1);
        let measured = measured.map(|(intervention, scores)| Measured { intervention, scores });
        let comparisons: Option<Vec<_>> = measured.map(|other| comparer.compare(&scores[0], &other)).collect();
        match (comparisons, errors.basis()) {
            (Some(comparisons), Some(errors)) => {
                Ok(Validated { n_windows: held_out.len(), errors, mean: mean(&scores[0]), comparisons })
            }
            _ => Err(SurgeryError::BadSearch { reason: "one window cannot validate a plan".to_owned() }.into()),
        }
    }

    /// The candidates of a round: all, or a random half of them after a restart.
    fn candidates(&self, state: &SearchState, operators: &[Operator]) -> Result<Vec<Candidate>> {
        let plans = state.plans.iter().map(|plan| Candidate::new(&plan.intervention)).collect::<Result<Vec<_>>>()?;
        let changed = plans.iter().flat_map(|plan| plan.changed(operators, self.options.longest_block));
        let mut candidates: BTreeSet<_> = changed.collect();
        candidates.retain(|candidate| !plans.contains(candidate));
        let mut candidates: Vec<_> = candidates.into_iter().collect();
        if state.restart > 0 {
            let draw = (state.restart as u64) << 32 | state.step as u64;
            SplitMix64::new(self.options.seed ^ SplitMix64::new(draw).bits()).shuffle(&mut candidates);
            candidates.truncate(candidates.len().div_ceil(2));
        }
        Ok(candidates)
    }

    fn race<'a>(&self, state: &'a SearchState, keep: usize) -> Race<'a> {
        let windows = &state.windows.search[..];
        let first = self.options.first_windows.unwrap_or(windows.len().div_ceil(8));
        let budget = self.options.budget.map_or(usize::MAX, |budget| budget.saturating_sub(state.evaluated));
        Race { windows, first, keep, budget }
    }

    /// Restarts, or ends the search with the best plan of all starts.
    fn end_start<O: Objective + ?Sized>(
        &self,
        state: &mut SearchState,
        stop: Stop,
        objective: &mut O,
    ) -> Result<(), O::Error> {
        match state.ended.first() {
            // This start ended before its last removal, or before its first round, so that its plan cannot be compared.
            Some(other) if state.step < self.options.remove.max(1) => state.plans = vec![other.clone()],
            _ => state.ended.push(state.plans[0].clone()),
        }
        if stop != Stop::Budget && state.restart + 1 < self.options.restarts() {
            (state.restart, state.step) = (state.restart + 1, 0);
            state.plans = vec![KeptPlan { intervention: state.from.clone(), costs: Vec::new() }];
            return Ok(());
        }
        if state.ended.len() > 1 {
            let mut lanes = state.ended.iter().map(KeptPlan::lane).collect::<Result<Vec<_>>>()?;
            lanes.sort_by(|a, b| a.candidate.cmp(&b.candidate));
            lanes.dedup_by(|a, b| a.candidate == b.candidate);
            let shared = lanes.iter().map(|lane| lane.costs.len()).min().unwrap_or(0);
            let race = Race { first: shared, ..self.race(state, 1) };
            let n_candidates = lanes.len();
            if let Some(race) = race.run(lanes, objective)? {
                record(state, 0, &race, objective.goal());
                state.rounds.iter_mut().last().into_iter().for_each(|round| round.n_candidates = n_candidates);
                state.plans = race.best.into_iter().map(KeptPlan::of).collect();
            }
        }
        state.stop = Some(stop);
        Ok(())
    }
}

/// How errors of means over these windows or items are computed.
fn errors_on<O: Objective + ?Sized>(windows: &[usize], objective: &O) -> WindowErrors {
    if objective.unit() == ErrorUnit::Items {
        return WindowErrors::of_items(windows.len());
    }
    let of = |documents: &[usize]| windows.iter().map(|&window| documents[window]).collect::<Vec<_>>();
    WindowErrors::new(windows.len(), &objective.documents().map(of).unwrap_or_default())
}

/// Writes down what a race of new candidates did.
fn record(state: &mut SearchState, n_candidates: usize, race: &RaceResult, goal: Goal) {
    let best = &race.best[0];
    let best_mean = goal.cost(mean(&best.costs[..race.n_windows]));
    state.n_tried += n_candidates;
    state.evaluated += race.evaluated;
    state.rounds.push(Round {
        restart: state.restart,
        n_candidates,
        evaluated: race.evaluated,
        n_windows: race.n_windows,
        best: best.candidate.intervention(),
        mean: best_mean,
    });
}
