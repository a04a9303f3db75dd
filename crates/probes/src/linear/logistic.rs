//! A linear probe for yes or no: [`Logistic`], L2-regularised logistic regression with its strength chosen on the training
//! part alone.

use rayon::prelude::*;
use stratigraph_core::SplitMix64;

use super::Examples;
use super::convex::{Problem, sigmoid, softplus};
use crate::neurons::dot;
use crate::statistics::Proportion;

/// How examples are divided for cross-validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folds {
    /// Into how many parts.
    pub n: usize,
    /// Decides what is in which part.
    pub seed: u64,
}

/// A fitted probe: `p(yes) = 1 / (1 + exp(-(w x + b)))` of standardised `x`.
#[derive(Debug, Clone)]
pub struct Logistic {
    mean: Vec<f64>,
    /// One over the standard deviation; 0 for a number that never changes.
    scale: Vec<f64>,
    /// The weights, followed by the intercept.
    weights: Vec<f64>,
    /// The strength of the penalty.
    l2: f64,
}

impl Logistic {
    /// Minimises `sum_i log(1 + exp(-y_i (w x_i + b))) + l2 / 2 |w|^2`, `y` being 1 or -1 and `x` standardised by the mean
    /// and population deviation of these examples; the intercept is not penalised.
    ///
    /// # Panics
    /// When there are no examples or `l2` is not positive.
    pub fn fit(examples: &Examples, l2: f64) -> Self {
        Self::fit_each(examples, &[l2]).pop().expect("a probe for each strength")
    }

    /// A probe for each of the strengths, each found from the one before.
    fn fit_each(examples: &Examples, strengths: &[f64]) -> Vec<Self> {
        assert!(!examples.is_empty() && strengths.iter().all(|l2| *l2 > 0.0), "examples and a positive strength");
        let mut probe = Self::standardising(examples);
        let rows: Vec<f64> = examples.features.chunks(examples.width).flat_map(|row| probe.standardised(row)).collect();
        let fit = |&l2: &f64| {
            let problem = Problem { rows: &rows, width: examples.width, answers: &examples.answers, l2 };
            probe.weights = problem.minimise(probe.weights.clone());
            probe.l2 = l2;
            probe.clone()
        };
        strengths.iter().map(fit).collect()
    }

    /// A probe whose weights are zero.
    fn standardising(examples: &Examples) -> Self {
        let (n, width) = (examples.len() as f64, examples.width);
        let mut mean = vec![0.0; width];
        examples.features.chunks(width).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / n));
        let mut variance = vec![0.0; width];
        for row in examples.features.chunks(width) {
            variance.iter_mut().zip(row).zip(&mean).for_each(|((v, x), m)| *v += (x - m).powi(2) / n);
        }
        // A mean is rounded, so a number that never changes need not have a variance of zero.
        let changes = |v: f64, m: f64| v.sqrt() > 1e-10 * m.abs();
        let scale = variance.iter().zip(&mean);
        let scale = scale.map(|(&v, &m)| if changes(v, m) { v.sqrt().recip() } else { 0.0 }).collect();
        Self { mean, scale, weights: vec![0.0; width + 1], l2: 0.0 }
    }

    /// Fits with the one of `strengths` that gives the held-out answers the highest likelihood in `folds`-fold
    /// cross-validation over these examples (the stronger one on a tie); [`l2`](Logistic::l2) is the one chosen. `seed`
    /// assigns the examples to the folds.
    ///
    /// The choice is by likelihood and not by accuracy: with a few hundred examples the accuracies of all strengths differ
    /// by less than their errors, so a choice by accuracy would be random.
    ///
    /// # Panics
    /// When there are fewer examples than folds, fewer than two folds, or no strengths.
    pub fn cross_validated(examples: &Examples, strengths: &[f64], folds: usize, seed: u64) -> Self {
        let each: Vec<usize> = (0..examples.len()).collect();
        Self::cross_validated_by_group(examples, &each, strengths, Folds { n: folds, seed })
    }

    /// As [`cross_validated`](Logistic::cross_validated), with all examples of a group in one part; `groups` has the group of each,
    /// counted from 0.
    ///
    /// # Panics
    /// When there are fewer groups than folds, fewer than two folds, no strengths, or not a group for each example.
    pub fn cross_validated_by_group(examples: &Examples, groups: &[usize], strengths: &[f64], folds: Folds) -> Self {
        let n_groups = groups.iter().max().map_or(0, |last| last + 1);
        let Folds { n: folds, seed } = folds;
        assert!(folds > 1 && n_groups >= folds && !strengths.is_empty(), "folds, groups and strengths");
        assert_eq!(groups.len(), examples.len(), "a group for each example");
        let mut order: Vec<usize> = (0..n_groups).collect();
        SplitMix64::new(seed).shuffle(&mut order);
        let mut members = vec![Vec::new(); n_groups];
        groups.iter().enumerate().for_each(|(example, &group)| members[group].push(example));
        let mut strengths = strengths.to_vec();
        strengths.sort_by(|a, b| b.total_cmp(a));
        let losses_of = |fold: usize| -> Vec<f64> {
            let part = |held_out: bool| {
                let order = order.iter().enumerate();
                let chosen = order.filter(|(place, _)| (place % folds == fold) == held_out);
                examples.subset(chosen.flat_map(|(_, &group)| members[group].iter().copied()))
            };
            let test = part(true);
            Self::fit_each(&part(false), &strengths).iter().map(|probe| probe.loss(&test)).collect()
        };
        let losses: Vec<Vec<f64>> = (0..folds).into_par_iter().map(losses_of).collect();
        let total = |index: usize| losses.iter().map(|of_fold| of_fold[index]).sum::<f64>();
        let best = (0..strengths.len()).min_by(|a, b| total(*a).total_cmp(&total(*b))).expect("strengths"); // the first
        Self::fit(examples, strengths[best])
    }

    /// The strength of the penalty that it was fitted with.
    pub fn l2(&self) -> f64 {
        self.l2
    }

    /// The probability of yes.
    ///
    /// # Panics
    /// When the width is another.
    pub fn probability(&self, features: &[f64]) -> f64 {
        sigmoid(self.score(features))
    }

    /// `w x + b`.
    fn score(&self, features: &[f64]) -> f64 {
        assert_eq!(features.len(), self.mean.len(), "the width of the probe");
        let (intercept, weights) = self.weights.split_last().expect("there is an intercept");
        dot(&self.standardised(features).collect::<Vec<_>>(), weights) + intercept
    }

    /// Minus the logarithm of the likelihood of the examples' answers.
    fn loss(&self, examples: &Examples) -> f64 {
        let of_one = |index: usize| {
            let score = self.score(examples.row(index));
            softplus(if examples.answers[index] { -score } else { score })
        };
        (0..examples.len()).map(of_one).sum()
    }

    /// How many of the examples it answers correctly.
    pub fn right(&self, examples: &Examples) -> Proportion {
        self.answers(examples).into_iter().collect()
    }

    /// Whether it answers each example correctly.
    pub fn answers(&self, examples: &Examples) -> Vec<bool> {
        let right = |index: usize| (self.probability(examples.row(index)) > 0.5) == examples.answers[index];
        (0..examples.len()).map(right).collect()
    }

    fn standardised<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        row.iter().zip(&self.mean).zip(&self.scale).map(|((x, mean), scale)| (x - mean) * scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers that follow the first of `width` normal numbers, with some noise, or random answers if `shuffled`.
    fn examples(n: usize, width: usize, shuffled: bool, seed: u64) -> Examples {
        let mut random = SplitMix64::new(seed);
        let mut examples = Examples::new(width);
        for _ in 0..n {
            let row: Vec<f64> = (0..width).map(|i| random.normal() * (i + 1) as f64 + 5.0).collect();
            let signal = if shuffled { random.normal() } else { row[0] - 5.0 + 0.5 * random.normal() };
            examples.push(row, signal > 0.0);
        }
        examples
    }

    #[test]
    fn examples_of_one_group_are_held_out_together() {
        // Each pair of equal examples is one group. If they were in two parts, a weak penalty would look as good as any.
        let mut twins = Examples::new(40);
        let single = examples(30, 40, true, 5);
        for index in 0..30 {
            (0..2).for_each(|_| twins.push(single.row(index).iter().copied(), single.answers[index]));
        }
        let groups: Vec<usize> = (0..60).map(|index| index / 2).collect();
        let (strengths, folds) = ([1e-2, 1e4], Folds { n: 5, seed: 1 });
        assert_eq!(Logistic::cross_validated_by_group(&twins, &groups, &strengths, folds).l2(), 1e4);
        let alone: Vec<usize> = (0..60).collect();
        let by_example = Logistic::cross_validated(&twins, &strengths, 5, 1);
        assert_eq!(Logistic::cross_validated_by_group(&twins, &alone, &strengths, folds).l2(), by_example.l2());
    }

    #[test]
    fn the_gradient_vanishes_where_it_stops_and_is_the_slope_elsewhere() {
        let examples = examples(60, 5, false, 1);
        let rows = &examples.features;
        let problem = Problem { rows, width: 5, answers: &examples.answers, l2: 0.7 };
        let (_, gradient) = problem.at(&problem.minimise(vec![0.0; 6]));
        assert!(dot(&gradient, &gradient).sqrt() < 1e-4, "{gradient:?}");
        let point = [0.1, -0.2, 0.3, 0.05, -0.1, 0.4];
        let (_, gradient) = problem.at(&point);
        for i in 0..6 {
            let moved = |h: f64| {
                let mut moved = point;
                moved[i] += h;
                problem.at(&moved).0
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - gradient[i]).abs() < 1e-4 * gradient[i].abs().max(1.0), "{i}: {slope} {}", gradient[i]);
        }
    }

    #[test]
    fn one_number_and_no_strength_give_the_logarithm_of_the_odds() {
        // Of four with x = 1 three are yes, of four with x = 0 one: w = ln 3 - ln 1/3 on the raw scale, b = ln 1/3.
        let mut examples = Examples::new(1);
        for (x, yes) in [(1.0, 3), (0.0, 1)] {
            (0..4).for_each(|i| examples.push([x], i < yes));
        }
        let probe = Logistic::fit(&examples, 1e-9);
        assert!((probe.probability(&[1.0]) - 0.75).abs() < 1e-5);
        assert!((probe.probability(&[0.0]) - 0.25).abs() < 1e-5);
        assert_eq!(examples.majority(), 0.5);
    }

    /// What scikit-learn 1.9.1 gives: `LogisticRegression(C=1 / l2, tol=1e-12)` on the standardised numbers.
    #[test]
    fn probabilities_are_those_of_scikit_learn() {
        let mut examples = Examples::new(3);
        for i in 0..24 {
            let row = [f64::from(i * 7 % 11) / 2.0, f64::from(i * 5 % 13) - 3.0, f64::from(i * i % 17) / 4.0];
            examples.push(row, i * 7 % 11 + i * 3 % 5 > 6);
        }
        let expected = [
            (0.1, [0.053557051, 0.974192834, 0.009410656, 0.019750435, 0.829426816]),
            (2.0, [0.174425342, 0.761706024, 0.181443183, 0.146140122, 0.663272802]),
        ];
        for (l2, expected) in expected {
            let probe = Logistic::fit(&examples, l2);
            for (index, expected) in [0, 1, 5, 11, 23].into_iter().zip(expected) {
                let found = probe.probability(examples.row(index));
                assert!((found - expected).abs() < 1e-5, "{l2} {index}: {found} {expected}");
            }
        }
    }

    #[test]
    fn a_signal_is_found_and_noise_is_not() {
        let strengths = [0.1, 10.0, 1000.0];
        let probe = Logistic::cross_validated(&examples(400, 20, false, 2), &strengths, 5, 0);
        assert!(strengths.contains(&probe.l2()));
        assert!(probe.right(&examples(400, 20, false, 3)).share() > 0.8);
        let probe = Logistic::cross_validated(&examples(400, 20, true, 4), &strengths, 5, 0);
        let at_chance = probe.right(&examples(2000, 20, true, 5)).share();
        assert!((at_chance - 0.5).abs() < 0.05, "{at_chance}");
    }

    #[test]
    fn a_number_that_never_changes_is_without_effect() {
        let mut with = Examples::new(2);
        let mut without = Examples::new(1);
        for i in 0..30 {
            let x = f64::from(i % 7);
            with.push([x, 3.0], i % 7 > 3);
            without.push([x], i % 7 > 3);
        }
        let (a, b) = (Logistic::fit(&with, 1.0), Logistic::fit(&without, 1.0));
        assert!((a.probability(&[2.0, 3.0]) - b.probability(&[2.0])).abs() < 1e-9);
        assert_eq!(a.probability(&[2.0, 99.0]), a.probability(&[2.0, 3.0]));
    }
}
