//! Reductions of one row of logits in plain memory, each a single pass that vectorises.
//!
//! Sums run in f32 over short blocks, lane by lane, and in f64 across blocks.

use crate::exp::exp;
use crate::for_best_cpu;

/// Numbers that go side by side through a block.
const LANES: usize = 16;

/// Numbers of a block, which is summed in f32.
const BLOCK: usize = 64 * LANES;

/// `log(sum(exp(logits)))` and what goes with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowSum {
    /// The log-sum-exp.
    pub lse: f32,
    /// The entropy of the row's softmax, in nats.
    pub entropy: f64,
    /// Where the largest logit stands first.
    pub top1: usize,
}

/// Reduces a row of logits; NaN anywhere gives NaN.
pub fn row_sum(logits: &[f32]) -> RowSum {
    let max = max(logits);
    let (sum, weighted) = exp_sums(logits, max);
    let top1 = position(logits, max).unwrap_or(0);
    RowSum { lse: (f64::from(max) + sum.ln()) as f32, entropy: sum.ln() - weighted / sum, top1 }
}

for_best_cpu! {
    /// The largest number of a row, NaN left aside.
    fn max(row: &[f32]) -> f32 {
        let larger = |max: f32, x: f32| if x > max { x } else { max };
        let mut lanes = [f32::NEG_INFINITY; LANES];
        let (groups, rest) = row.as_chunks::<LANES>();
        for group in groups {
            for lane in 0..LANES {
                lanes[lane] = larger(lanes[lane], group[lane]);
            }
        }
        lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |max, &x| larger(max, x))
    }
}

for_best_cpu! {
    /// Where `value` stands first in a row, by whole groups and then within one.
    fn position(row: &[f32], value: f32) -> Option<usize> {
        const GROUP: usize = 8 * LANES;
        let holds = |group: &[f32]| group.iter().fold(false, |found, &x| found | (x == value));
        let group = row.chunks(GROUP).position(holds)?;
        let start = group * GROUP;
        Some(start + row[start..].iter().position(|&x| x == value)?)
    }
}

for_best_cpu! {
    /// `sum(exp(x))` and `sum(x exp(x))` of `x = logit - max`; a term whose `exp` is 0 is 0.
    fn exp_sums(logits: &[f32], max: f32) -> (f64, f64) {
        let (mut sum, mut weighted) = (0.0, 0.0);
        for block in logits.chunks(BLOCK) {
            let (mut sums, mut products) = ([0.0f32; LANES], [0.0f32; LANES]);
            let (groups, rest) = block.as_chunks::<LANES>();
            for group in groups {
                for lane in 0..LANES {
                    let x = group[lane] - max;
                    let e = exp(x);
                    sums[lane] += e;
                    products[lane] += if e == 0.0 { 0.0 } else { x * e };
                }
            }
            for &logit in rest {
                let x = logit - max;
                let e = exp(x);
                sum += f64::from(e);
                weighted += if e == 0.0 { 0.0 } else { f64::from(x * e) };
            }
            sum += sums.iter().map(|&x| f64::from(x)).sum::<f64>();
            weighted += products.iter().map(|&x| f64::from(x)).sum::<f64>();
        }
        (sum, weighted)
    }
}

for_best_cpu! {
    /// `exp(logit - lse)` of each logit.
    pub fn probs(logits: &[f32], lse: f32, probs: &mut [f32]) -> () {
        for (prob, &logit) in probs.iter_mut().zip(logits) {
            *prob = exp(logit - lse);
        }
    }
}

/// A distribution's logits with their log-sum-exp.
#[derive(Debug, Clone, Copy)]
pub struct Normed<'a> {
    /// The logits.
    pub logits: &'a [f32],
    /// Their log-sum-exp.
    pub lse: f32,
}

for_best_cpu! {
    /// `sum(p (log p - log q))` in nats, where `p = 0` counts 0; `probs` are those of `p`.
    pub fn kl(probs: &[f32], p: Normed, q: Normed) -> f64 {
        let mut sum = 0.0;
        let blocks = probs.chunks(BLOCK).zip(p.logits.chunks(BLOCK)).zip(q.logits.chunks(BLOCK));
        for ((probs, p_block), q_block) in blocks {
            let mut sums = [0.0f32; LANES];
            let (probs, probs_rest) = probs.as_chunks::<LANES>();
            let (p_groups, p_rest) = p_block.as_chunks::<LANES>();
            let (q_groups, q_rest) = q_block.as_chunks::<LANES>();
            for ((prob, p_logit), q_logit) in probs.iter().zip(p_groups).zip(q_groups) {
                for lane in 0..LANES {
                    let term = prob[lane] * ((p_logit[lane] - p.lse) - (q_logit[lane] - q.lse));
                    sums[lane] += if prob[lane] == 0.0 { 0.0 } else { term };
                }
            }
            for ((prob, p_logit), q_logit) in probs_rest.iter().zip(p_rest).zip(q_rest) {
                let term = prob * ((p_logit - p.lse) - (q_logit - q.lse));
                sum += if *prob == 0.0 { 0.0 } else { f64::from(term) };
            }
            sum += sums.iter().map(|&x| f64::from(x)).sum::<f64>();
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_length_reduce_as_in_f64() {
        for n in [1, 2, 15, 16, 17, 63, 1023, 1024, 1025, 5000] {
            let logits: Vec<f32> = (0..n).map(|i| ((i * i) as f32 * 0.37).sin() * 20.0).collect();
            let exact = |f: &dyn Fn(f64) -> f64| logits.iter().map(|&x| f(f64::from(x))).sum::<f64>();
            let lse = exact(&|x| x.exp()).ln();
            let entropy = -exact(&|x| (x - lse).exp() * (x - lse));
            let found = row_sum(&logits);
            assert!((f64::from(found.lse) - lse).abs() < 2e-6, "{n}");
            assert!((found.entropy - entropy).abs() < 1e-5, "{n}: {} {entropy}", found.entropy);
            let top1 = logits.iter().enumerate().fold(0, |best, (i, x)| if *x > logits[best] { i } else { best });
            assert_eq!(found.top1, top1, "{n}");
        }
    }

    #[test]
    fn a_nan_anywhere_shows() {
        for at in [0, 5, 16, 39] {
            let mut logits = vec![0.5; 40];
            logits[at] = f32::NAN;
            assert!(row_sum(&logits).lse.is_nan());
        }
    }
}
