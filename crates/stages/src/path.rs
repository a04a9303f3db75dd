//! The best division of depth into ordered stages, exactly: [`best`] and its [`Path`].

/// The score of each stage in each layer.
pub(crate) type Scores = Vec<[f64; 4]>;

/// Which stages may occur.
pub(crate) type Allowed = [bool; 4];

/// A division of depth: the stage of each layer, never falling.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    pub(crate) stages: Vec<usize>,
    /// The sum of the layers' scores, minus the price of each change of stage.
    pub(crate) score: f64,
}

/// Neighbouring layers of one stage: `first` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) stage: usize,
    pub(crate) first: usize,
    pub(crate) end: usize,
}

impl Path {
    /// The first layer after each of the first three stages, whether they occur or not; this orders all divisions.
    pub(crate) fn cuts(&self) -> [usize; 3] {
        [0, 1, 2].map(|stage| self.stages.iter().filter(|&&at| at <= stage).count())
    }

    /// The stages that occur.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (layer, &stage) in self.stages.iter().enumerate() {
            match runs.last_mut() {
                Some(run) if run.stage == stage => run.end = layer + 1,
                _ => runs.push(Run { stage, first: layer, end: layer + 1 }),
            }
        }
        runs
    }
}

/// The division with the largest score, by dynamic programming over layers: each layer stays in the stage before it or goes
/// on to a later one. Of equals it takes the one with fewer changes, and then the earlier stage.
///
/// # Panics
///
/// If no stage is allowed.
pub(crate) fn best(scores: &[[f64; 4]], price: f64, allowed: Allowed) -> Path {
    let barred = |stage: usize| if allowed[stage] { 0.0 } else { f64::NEG_INFINITY };
    let mut totals = [0, 1, 2, 3].map(barred);
    let mut came_from: Vec<[usize; 4]> = Vec::with_capacity(scores.len());
    for (layer, score) in scores.iter().enumerate() {
        let before = totals;
        let mut origin = [0, 1, 2, 3];
        for stage in 0..4 {
            let mut total = before[stage];
            for earlier in (0..stage).filter(|_| layer > 0 && allowed[stage]) {
                if before[earlier] - price > total {
                    total = before[earlier] - price;
                    origin[stage] = earlier;
                }
            }
            totals[stage] = total + score[stage];
        }
        came_from.push(origin);
    }
    let later = |best: usize, stage: usize| if totals[stage] > totals[best] { stage } else { best };
    let last = (0..4).filter(|&stage| allowed[stage]).reduce(later).expect("a stage is allowed");
    let mut stages = vec![last; scores.len()];
    for layer in (1..scores.len()).rev() {
        stages[layer - 1] = came_from[layer][stages[layer]];
    }
    Path { stages, score: totals[last] }
}

/// How much higher the best division scores than the best single stage.
pub(crate) fn gain(scores: &[[f64; 4]], price: f64) -> f64 {
    let single =
        (0..4).map(|stage| scores.iter().map(|score| score[stage]).sum::<f64>()).fold(f64::NEG_INFINITY, f64::max);
    best(scores, price, [true; 4]).score - single
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn score_of(stages: &[usize], scores: &[[f64; 4]], price: f64) -> f64 {
        let changes = stages.windows(2).filter(|pair| pair[0] != pair[1]).count();
        stages.iter().zip(scores).map(|(&stage, score)| score[stage]).sum::<f64>() - price * changes as f64
    }

    fn brute_force(scores: &[[f64; 4]], price: f64, allowed: Allowed) -> f64 {
        let n = scores.len();
        let mut best = f64::NEG_INFINITY;
        for a in 0..=n {
            for b in a..=n {
                for c in b..=n {
                    let stages: Vec<usize> =
                        (0..n).map(|layer| [a, b, c].iter().filter(|&&cut| layer >= cut).count()).collect();
                    if stages.iter().all(|&stage| allowed[stage]) {
                        best = best.max(score_of(&stages, scores, price));
                    }
                }
            }
        }
        best
    }

    proptest! {
        #[test]
        fn nothing_beats_it(
            scores in prop::collection::vec(prop::array::uniform4(-3.0..3.0f64), 1..9),
            price in 0.0..3.0f64,
            mask in 1usize..16,
        ) {
            let allowed = [0, 1, 2, 3].map(|stage| mask >> stage & 1 == 1);
            let path = best(&scores, price, allowed);
            prop_assert!((path.score - brute_force(&scores, price, allowed)).abs() < 1e-9);
            prop_assert!((path.score - score_of(&path.stages, &scores, price)).abs() < 1e-9);
            prop_assert!(path.stages.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(path.stages.iter().all(|&stage| allowed[stage]));
            prop_assert!(gain(&scores, price) >= -1e-9);
        }
    }

    #[test]
    fn cuts_and_runs_say_the_same() {
        let path = Path { stages: vec![0, 0, 2, 2, 2, 3], score: 0.0 };
        assert_eq!(path.cuts(), [2, 2, 5]);
        let runs: Vec<_> = path.runs().iter().map(|run| (run.stage, run.first, run.end)).collect();
        assert_eq!(runs, [(0, 0, 2), (2, 2, 5), (3, 5, 6)]);
    }

    #[test]
    fn equal_stages_make_one() {
        assert_eq!(best(&[[0.0; 4]; 5], 0.0, [true; 4]).stages, [0; 5]);
    }
}
