//! Chooses tokens: [`Sampler`].

use stratigraph_core::SplitMix64;
use stratigraph_kernels::softmax::{Sums, sums};

use crate::{Result, Sampling};

/// Chooses the next token of one text, again and again.
#[derive(Debug, Clone)]
pub struct Sampler {
    sampling: Sampling,
    random: SplitMix64,
}

/// A token that may be chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    token: u32,
    logit: f64,
}

impl Sampler {
    /// For the prompt `index` of a batch.
    ///
    /// # Errors
    /// As [`Sampling::check`].
    pub fn new(sampling: &Sampling, index: usize) -> Result<Self> {
        sampling.check()?;
        // A stream of its own: the first number of a generator that the index seeds, and the seed.
        let stream = SplitMix64::new(index as u64).bits();
        Ok(Self { sampling: *sampling, random: SplitMix64::new(sampling.seed() ^ stream) })
    }

    /// Chooses a token by the logits of the whole vocabulary; `before` are the tokens of the text so far. None where no logit
    /// is finite, or one is NaN.
    pub fn pick(&mut self, logits: &[f32], before: &[u32]) -> Option<u32> {
        if self.sampling.is_greedy() && self.sampling.repetition_penalty() == 1.0 {
            let Sums { sum, top1, .. } = sums(logits); // one vectorised pass
            return (sum.is_finite() && sum > 0.0).then_some(top1 as u32);
        }
        let candidates = self.candidates(logits, before)?;
        if self.sampling.is_greedy() {
            return candidates.first().map(|candidate| candidate.token);
        }
        let weights = weights(&candidates);
        let mut left = self.random.uniform() * weights.iter().sum::<f64>();
        let chosen = weights.iter().position(|weight| {
            left -= weight;
            left <= 0.0
        });
        // Rounding may leave a little probability after the last candidate.
        candidates.get(chosen.unwrap_or(candidates.len() - 1)).map(|candidate| candidate.token)
    }

    /// The tokens that may be chosen, the most likely first, with their probabilities.
    pub fn probabilities(&self, logits: &[f32], before: &[u32]) -> Vec<(u32, f64)> {
        let mut candidates = self.candidates(logits, before).unwrap_or_default();
        candidates.sort_unstable_by(order);
        let weights = weights(&candidates);
        let sum: f64 = weights.iter().sum();
        candidates.iter().zip(weights).map(|(candidate, weight)| (candidate.token, weight / sum)).collect()
    }

    /// The tokens that are left, in an order that depends on nothing but logits and ids.
    fn candidates(&self, logits: &[f32], before: &[u32]) -> Option<Vec<Candidate>> {
        if logits.iter().any(|logit| logit.is_nan()) {
            return None;
        }
        let mut all: Vec<_> =
            (0..).zip(logits).map(|(token, &logit)| Candidate { token, logit: f64::from(logit) }).collect();
        self.penalize(&mut all, before);
        all.retain(|candidate| candidate.logit > f64::NEG_INFINITY);
        if all.is_empty() || all.iter().any(|candidate| candidate.logit == f64::INFINITY) {
            return None;
        }
        if self.sampling.is_greedy() {
            all.select_nth_unstable_by(0, order);
            all.truncate(1);
            return Some(all);
        }
        all.iter_mut().for_each(|candidate| candidate.logit /= self.sampling.temperature());
        self.keep_top_k(&mut all);
        self.keep_top_p(&mut all);
        Some(all)
    }

    fn penalize(&self, all: &mut [Candidate], before: &[u32]) {
        let penalty = self.sampling.repetition_penalty();
        if penalty == 1.0 {
            return;
        }
        let mut before = before.to_vec();
        before.sort_unstable();
        before.dedup();
        for token in before {
            if let Some(Candidate { logit, .. }) = all.get_mut(token as usize) {
                *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
            }
        }
    }

    /// Keeps the `k` largest logits, and those that equal the last of them.
    fn keep_top_k(&self, all: &mut Vec<Candidate>) {
        let Some(k) = self.sampling.top_k().filter(|k| *k < all.len()) else { return };
        let (_, last, _) = all.select_nth_unstable_by(k - 1, order);
        let last = last.logit;
        all.retain(|candidate| candidate.logit >= last);
    }

    /// Keeps the fewest largest logits whose probabilities sum to at least `p`.
    fn keep_top_p(&self, all: &mut Vec<Candidate>) {
        let p = self.sampling.top_p();
        if p == 1.0 {
            return all.sort_unstable_by_key(|candidate| candidate.token); // whatever top-k made of the order
        }
        let whole: f64 = weights(all).iter().sum();
        let max = max(all);
        // Sorts no more than it has to: the first few are most of the probability.
        let mut n_sorted = 256.min(all.len());
        loop {
            if n_sorted < all.len() {
                all.select_nth_unstable_by(n_sorted - 1, order);
            }
            all[..n_sorted].sort_unstable_by(order);
            let mut sum = 0.0;
            let enough = all[..n_sorted].iter().position(|candidate| {
                sum += (candidate.logit - max).exp();
                sum >= p * whole
            });
            match enough {
                Some(last) => return all.truncate(last + 1),
                None if n_sorted == all.len() => return, // but for rounding all are needed
                None => n_sorted = (4 * n_sorted).min(all.len()),
            }
        }
    }
}

/// The largest logit first, and of equal ones the lowest id.
fn order(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
}

fn max(candidates: &[Candidate]) -> f64 {
    candidates.iter().fold(f64::NEG_INFINITY, |max, candidate| max.max(candidate.logit))
}

/// `exp(logit - max)` of each.
fn weights(candidates: &[Candidate]) -> Vec<f64> {
    let max = max(candidates);
    candidates.iter().map(|candidate| (candidate.logit - max).exp()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sampler(sampling: Sampling) -> Sampler {
        Sampler::new(&sampling, 0).unwrap()
    }

    fn softmax(logits: &[f64]) -> Vec<f64> {
        let sum: f64 = logits.iter().map(|x| x.exp()).sum();
        logits.iter().map(|x| x.exp() / sum).collect()
    }

    /// Drawn frequencies against probabilities: with 3 degrees of freedom the statistic is above 16.27 once in 1000.
    fn chi_square(sampling: Sampling, logits: &[f32], expected: &[(u32, f64)], before: &[u32]) -> f64 {
        let (n, mut sampler) = (20_000, sampler(sampling));
        let mut counts = vec![0.0; logits.len()];
        (0..n).for_each(|_| counts[sampler.pick(logits, before).unwrap() as usize] += 1.0);
        let drawn: f64 = expected.iter().map(|(token, _)| counts[*token as usize]).sum();
        assert_eq!(drawn, f64::from(n), "nothing else is drawn");
        expected
            .iter()
            .map(|(token, p)| (counts[*token as usize] - f64::from(n) * p).powi(2) / (f64::from(n) * p))
            .sum()
    }

    #[test]
    fn draws_have_the_softmax_of_the_logits() {
        let logits = [0.3f32, -1.0, 1.2, 0.0];
        for temperature in [0.5, 1.0, 2.0] {
            let p = softmax(&logits.map(|x| f64::from(x) / temperature));
            let expected: Vec<_> = (0..).zip(p).collect();
            for seed in [1, 2] {
                let sampling = Sampling::at_temperature(temperature).with_seed(seed);
                let statistic = chi_square(sampling, &logits, &expected, &[]);
                assert!(statistic < 16.27, "{temperature} {seed}: {statistic}");
            }
        }
    }

    #[test]
    fn draws_of_what_filters_leave_are_renormalised() {
        let logits = [2.0f32, 1.0, 0.5, 0.4, -1.0, -3.0];
        let p = softmax(&[2.0, 1.0, 0.5, 0.4]);
        let expected: Vec<_> = (0..4).zip(p).collect();
        let statistic = chi_square(Sampling::at_temperature(1.0).with_top_k(4), &logits, &expected, &[]);
        assert!(statistic < 16.27, "{statistic}");
        // Their probabilities are 0.54, 0.20, 0.12, 0.11, 0.03 and 0.004: four are the fewest that sum to 0.9.
        let statistic = chi_square(Sampling::at_temperature(1.0).with_top_p(0.9), &logits, &expected, &[]);
        assert!(statistic < 16.27, "{statistic}");
    }

    #[test]
    fn a_seed_gives_the_same_draws_and_prompts_have_their_own() {
        let logits = [0.0f32; 50];
        let draws = |seed: u64, index: usize| -> Vec<u32> {
            let mut sampler = Sampler::new(&Sampling::at_temperature(1.0).with_seed(seed), index).unwrap();
            (0..20).map(|_| sampler.pick(&logits, &[]).unwrap()).collect()
        };
        assert_eq!(draws(1, 0), draws(1, 0));
        assert_ne!(draws(1, 0), draws(2, 0));
        assert_ne!(draws(1, 0), draws(1, 1));
    }

    /// As `RepetitionPenaltyLogitsProcessor`: each token that was there counts once, whatever the sign of its logit.
    #[test]
    fn a_repetition_penalty_divides_positive_and_multiplies_negative_logits() {
        let logits = [1.0f32, 2.0, -1.0, 0.0];
        let penalized = Sampling::at_temperature(1.0).with_repetition_penalty(2.0);
        let found = sampler(penalized).probabilities(&logits, &[1, 2, 1, 1]);
        let expected = softmax(&[1.0, 1.0, -2.0, 0.0]);
        for (token, p) in found {
            assert!((p - expected[token as usize]).abs() < 1e-12, "{token}");
        }
        let mut greedy = sampler(Sampling::greedy().with_repetition_penalty(3.0));
        assert_eq!((greedy.pick(&logits, &[]), greedy.pick(&logits, &[1])), (Some(1), Some(0)));
    }

    #[test]
    fn equal_logits_go_by_id_and_those_that_are_no_numbers_are_not_chosen() {
        let mut greedy = sampler(Sampling::greedy());
        assert_eq!(greedy.pick(&[1.0, 5.0, 5.0], &[]), Some(1));
        assert_eq!(greedy.pick(&[f32::NEG_INFINITY, -9.0], &[]), Some(1));
        assert_eq!(greedy.pick(&[f32::NAN, 1.0], &[]), None);
        assert_eq!(greedy.pick(&[f32::INFINITY, 1.0], &[]), None);
        assert_eq!(greedy.pick(&[f32::NEG_INFINITY; 3], &[]), None);
        // The third logit equals the second largest, so that top-2 keeps three.
        let kept = sampler(Sampling::at_temperature(1.0).with_top_k(2)).probabilities(&[1.0, 3.0, 1.0, 0.0], &[]);
        assert_eq!(kept.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 0, 2]);
    }

    proptest! {
        /// Top-p keeps the fewest tokens whose sum reaches `p`, whatever the size of the vocabulary; top-k as many as asked for.
        #[test]
        fn filters_keep_the_fewest_tokens(logits in prop::collection::vec(-6.0f32..6.0, 1..700), p in 0.01f64..1.0, k in 1usize..20) {
            let all = sampler(Sampling::at_temperature(1.0)).probabilities(&logits, &[]);
            let kept = sampler(Sampling::at_temperature(1.0).with_top_p(p)).probabilities(&logits, &[]);
            let sum = |n: usize| all[..n].iter().map(|(_, p)| p).sum::<f64>();
            prop_assert!(sum(kept.len()) >= p - 1e-9);
            prop_assert!(kept.len() == 1 || sum(kept.len() - 1) < p + 1e-9);
            let tokens = |list: &[(u32, f64)]| list.iter().map(|(token, _)| *token).collect::<Vec<_>>();
            prop_assert_eq!(tokens(&kept), tokens(&all[..kept.len()]));
            prop_assert!((kept.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-9);
            let top = sampler(Sampling::at_temperature(1.0).with_top_k(k)).probabilities(&logits, &[]);
            prop_assert!(top.len() >= k.min(logits.len()));
            let both = sampler(Sampling::at_temperature(1.0).with_top_k(k).with_top_p(p)).probabilities(&logits, &[]);
            prop_assert!(both.len() <= top.len());
        }
    }
}
