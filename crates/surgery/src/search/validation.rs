//! The best plan measured on windows that the search has not seen: [`Validated`], in [`Comparison`]s.

use serde::{Deserialize, Serialize};
use stratigraph_profile::statistics::{ErrorBasis, WindowErrors, t_p_value};

use super::Goal;
use crate::Intervention;

/// The level of a test, and of the intervals.
const LEVEL: f64 = 0.05;

/// What validation says about a plan compared with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// It is better, also after a correction for the number of plans that the search has tried.
    Better,
    /// It is better by its own interval, but not after the correction for the number of plans that the search has tried.
    BetterUncorrected,
    /// The interval of the difference contains zero.
    WithinNoise,
    /// It is worse.
    Worse,
}

/// A plan compared with another one, window by window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The other plan.
    pub with: Intervention,
    /// The mean of the other plan's numbers.
    pub other: f64,
    /// The mean of the plan's numbers minus the other's.
    pub difference: f64,
    /// The standard error of the difference, over windows or documents.
    pub sem: f64,
    /// The ends of its 95 % interval.
    pub interval: [f64; 2],
    /// The two-sided p-value of no difference.
    pub p: f64,
    /// The p-value times the number of plans that were tried (Bonferroni), at most 1.
    pub p_corrected: f64,
    /// What that says.
    pub verdict: Verdict,
}

/// The best plan on the windows that were held out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Validated {
    /// How many windows.
    pub n_windows: usize,
    /// What errors are over.
    pub errors: ErrorBasis,
    /// The mean of its numbers.
    pub mean: f64,
    /// With the plan from which the search began, and with others that were asked for.
    pub comparisons: Vec<Comparison>,
}

/// The numbers of a plan on each window.
pub(super) struct Measured<'a> {
    pub(super) intervention: &'a Intervention,
    pub(super) scores: &'a [f64],
}

/// What comparisons have in common.
pub(super) struct Comparer<'a> {
    pub(super) goal: Goal,
    pub(super) errors: &'a WindowErrors,
    pub(super) n_tried: usize,
}

impl Comparer<'_> {
    /// Compares a plan with another one, paired by window; none for a single window.
    pub(super) fn compare(&self, plan: &[f64], other: &Measured) -> Option<Comparison> {
        let differences: Vec<f64> = plan.iter().zip(other.scores).map(|(a, b)| a - b).collect();
        let (difference, sem, basis) = (mean(&differences), self.errors.sem(&differences)?, self.errors.basis()?);
        let half = basis.half_width(sem, 1.0 - LEVEL);
        let p = match sem > 0.0 {
            true => t_p_value(difference / sem, basis.df),
            false => {
                if difference == 0.0 {
                    1.0
                } else {
                    0.0
                }
            } // the same difference in every window
        };
        let p_corrected = (p * self.n_tried.max(1) as f64).min(1.0);
        let verdict = if p >= LEVEL {
            Verdict::WithinNoise
        } else if self.goal.cost(difference) > 0.0 {
            Verdict::Worse
        } else if p_corrected < LEVEL {
            Verdict::Better
        } else {
            Verdict::BetterUncorrected
        };
        let interval = [difference - half, difference + half];
        let with = other.intervention.clone();
        Some(Comparison { with, other: mean(other.scores), difference, sem, interval, p, p_corrected, verdict })
    }
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(goal: Goal, plan: &[f64], n_tried: usize) -> Verdict {
        let other = vec![1.0; plan.len()];
        let (errors, with) = (WindowErrors::new(plan.len(), &[]), "0-1".parse().unwrap());
        let comparer = Comparer { goal, errors: &errors, n_tried };
        let compared = comparer.compare(plan, &Measured { intervention: &with, scores: &other }).unwrap();
        let is_outside = compared.interval[0] > 0.0 || compared.interval[1] < 0.0;
        assert_eq!(is_outside, compared.p < 0.05, "the interval and the test agree");
        compared.verdict
    }

    #[test]
    fn a_plan_is_better_only_where_chance_does_not_explain_it() {
        let lower = [0.5, 0.6, 0.4, 0.55, 0.5];
        assert_eq!(verdict(Goal::Lowest, &lower, 1), Verdict::Better);
        assert_eq!(verdict(Goal::Highest, &lower, 1), Verdict::Worse);
        assert_eq!(verdict(Goal::Lowest, &lower, 100_000), Verdict::BetterUncorrected);
        assert_eq!(verdict(Goal::Lowest, &[0.5, 1.6, 0.7, 1.3, 0.8], 1), Verdict::WithinNoise);
        assert_eq!(verdict(Goal::Lowest, &[1.0; 5], 1), Verdict::WithinNoise);
        assert_eq!(verdict(Goal::Lowest, &[0.5; 5], 9), Verdict::Better);
    }
}
