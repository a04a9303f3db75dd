//! Candidates compared on growing samples of windows; the worse ones are dropped early: [`Race`].

use stratigraph_core::Moments;
use stratigraph_profile::statistics::t_quantile;

use super::Objective;
use super::candidate::Candidate;
use crate::{Intervention, Result};

/// The fewest windows on which a difference is tested.
const LEAST_TESTED: usize = 5;
/// A candidate is dropped when it is worse than the best one by a one-sided test of this level.
const LEVEL: f64 = 0.05;

/// A candidate with its cost on the first windows of the race; lower is better.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) candidate: Candidate,
    pub(super) costs: Vec<f64>,
    /// Whether it is never dropped.
    pub(super) stays: bool,
}

impl Lane {
    pub(super) fn new(candidate: Candidate) -> Self {
        Self { candidate, costs: Vec::new(), stays: false }
    }

    /// Its mean cost on the first `n` windows.
    fn mean(&self, n: usize) -> f64 {
        self.costs[..n].iter().sum::<f64>() / n as f64
    }

    /// Whether it is significantly worse than the best one on the first `n` windows, which are in a random order.
    fn is_worse(&self, best: &Lane, n: usize) -> bool {
        if n < LEAST_TESTED {
            return false;
        }
        let differences: Moments = (0..n).map(|window| self.costs[window] - best.costs[window]).collect();
        let margin = t_quantile(1.0 - 2.0 * LEVEL, n - 1) * differences.sem().unwrap_or(f64::INFINITY);
        differences.mean > margin
    }
}

/// How a race is run.
pub(super) struct Race<'a> {
    /// The windows, in the order in which they are taken.
    pub(super) windows: &'a [usize],
    /// How many of them all candidates run on.
    pub(super) first: usize,
    /// How many candidates are wanted.
    pub(super) keep: usize,
    /// How many more windows may be evaluated, all candidates together.
    pub(super) budget: usize,
}

/// What a race found.
pub(super) struct RaceResult {
    /// The best candidates, the best first.
    pub(super) best: Vec<Lane>,
    /// On how many windows these were compared.
    pub(super) n_windows: usize,
    /// How many windows were evaluated, all candidates together.
    pub(super) evaluated: usize,
}

impl Race<'_> {
    /// Runs every lane on the first windows, drops the worse half and those that are significantly worse than the best, and continues
    /// on twice as many windows until no more than the wanted number is left, or all windows are used. None where the budget
    /// does not allow the first windows.
    pub(super) fn run<O: Objective + ?Sized>(
        &self,
        mut lanes: Vec<Lane>,
        objective: &mut O,
    ) -> Result<Option<RaceResult>, O::Error> {
        let (mut n, mut evaluated, mut end) = (0, 0, self.first.clamp(1, self.windows.len()));
        loop {
            let missing: usize = lanes.iter().map(|lane| end.saturating_sub(lane.costs.len())).sum();
            if evaluated + missing > self.budget {
                break;
            }
            self.evaluate(&mut lanes, end, objective)?;
            evaluated += missing;
            n = end;
            self.drop_worse(&mut lanes, n);
            if n == self.windows.len() || lanes.len() <= self.keep {
                break;
            }
            end = (2 * n).min(self.windows.len());
        }
        if n == 0 {
            return Ok(None);
        }
        lanes.truncate(self.keep);
        Ok(Some(RaceResult { best: lanes, n_windows: n, evaluated }))
    }

    /// Measures what is missing of the first `end` windows, lanes that miss the same ones together.
    fn evaluate<O: Objective + ?Sized>(
        &self,
        lanes: &mut [Lane],
        end: usize,
        objective: &mut O,
    ) -> Result<(), O::Error> {
        let mut starts: Vec<usize> = lanes.iter().map(|lane| lane.costs.len()).filter(|start| *start < end).collect();
        starts.sort_unstable();
        starts.dedup();
        let goal = objective.goal();
        for start in starts {
            let mut missing: Vec<_> = lanes.iter_mut().filter(|lane| lane.costs.len() == start).collect();
            let interventions: Vec<Intervention> = missing.iter().map(|lane| lane.candidate.intervention()).collect();
            let scores = objective.score(&interventions, &self.windows[start..end])?;
            for (lane, scores) in missing.iter_mut().zip(scores) {
                lane.costs.extend(scores.into_iter().map(|score| goal.cost(score)));
            }
        }
        Ok(())
    }

    /// Sorts the lanes, the best first (equal ones by their plans), and drops what is not needed any more.
    fn drop_worse(&self, lanes: &mut Vec<Lane>, n: usize) {
        lanes.sort_by(|a, b| a.mean(n).total_cmp(&b.mean(n)).then_with(|| a.candidate.cmp(&b.candidate)));
        let half = lanes.len().div_ceil(2).max(self.keep);
        let best = lanes[0].clone();
        let mut rank = 0;
        lanes.retain(|lane| {
            let is_kept = rank < self.keep || lane.stays || rank < half && !lane.is_worse(&best, n);
            rank += 1;
            is_kept
        });
    }
}
