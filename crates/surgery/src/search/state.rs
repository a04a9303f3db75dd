//! The progress of a search: [`SearchState`], from which another process can continue, in [`Round`]s.

use serde::{Deserialize, Serialize};

use super::SearchWindows;
use super::candidate::Candidate;
use super::race::Lane;
use crate::{Intervention, Result};

/// A plan that a search keeps, with its numbers on the first of the windows that are searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeptPlan {
    /// The plan, with edits where sublayers are left out.
    pub intervention: Intervention,
    /// For each window the number whose mean is minimised: that of the objective, or minus that where high numbers are better.
    pub costs: Vec<f64>,
}

impl KeptPlan {
    pub(super) fn of(lane: Lane) -> Self {
        Self { intervention: lane.candidate.intervention(), costs: lane.costs }
    }

    pub(super) fn lane(&self) -> Result<Lane> {
        Ok(Lane { costs: self.costs.clone(), ..Lane::new(Candidate::new(&self.intervention)?) })
    }
}

/// A round of a search: some candidates, and the best of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Round {
    /// Which of the restarts, from 0.
    pub restart: usize,
    /// How many candidates there were.
    pub n_candidates: usize,
    /// How many windows were evaluated, all candidates together.
    pub evaluated: usize,
    /// On how many windows the last candidates were compared.
    pub n_windows: usize,
    /// The best plan.
    pub best: Intervention,
    /// Its number: the mean over these windows. It is the best of many, so that others will be worse; see the validation.
    pub mean: f64,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stop {
    /// All changes were made that were asked for.
    Finished,
    /// No further change improves the objective.
    NoImprovement,
    /// The budget did not allow another round.
    Budget,
}

/// The progress of a search. It is plain data: a search that continues from it ends like one that was not interrupted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchState {
    /// The windows.
    pub windows: SearchWindows,
    /// The plan from which it began.
    pub from: Intervention,
    /// The plans from which the next candidates are made, the best first.
    pub plans: Vec<KeptPlan>,
    /// How many changes these have.
    pub step: usize,
    /// Which of the restarts runs.
    pub restart: usize,
    /// The best plans of the restarts that have ended.
    pub ended: Vec<KeptPlan>,
    /// How many candidates were tried.
    pub n_tried: usize,
    /// How many windows were evaluated, all candidates together.
    pub evaluated: usize,
    /// What was done.
    pub rounds: Vec<Round>,
    /// Why it ended; none while it runs.
    pub stop: Option<Stop>,
}

impl SearchState {
    /// The best plan so far.
    pub fn best(&self) -> &Intervention {
        &self.plans[0].intervention
    }
}
