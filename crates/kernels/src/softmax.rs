//! Reductions of one row of logits, or of a part of one, in plain memory, each a pass that vectorises.
//!
//! Sums run in f32 over short blocks, lane by lane, and in f64 across blocks. They are relative to the largest logit of the
//! part, so that parts can be put together afterwards.

use crate::exp::exp;
use crate::for_best_cpu;
use crate::lanes::{self, LANES};

/// Numbers of a block, which is summed in f32.
const BLOCK: usize = 64 * LANES;

/// The sums of a softmax over some logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sums {
    /// The largest logit; the least finite number where every logit is minus infinity.
    pub max: f32,
    /// Its first index.
    pub top1: usize,
    /// `sum(exp(x))` of `x = logit - max`.
    pub sum: f64,
    /// `sum(x exp(x))`; where `exp(x)` is 0 the term is 0.
    pub weighted: f64,
}

/// [`Sums`] of logits that are measured against clean ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SumsAgainst {
    /// The sums of the logits themselves.
    pub sums: Sums,
    /// `sum(exp(y) (y - x))` of `y` = clean logit - largest clean logit and `x` as in [`Sums`]; where `exp(y)` is 0 the
    /// term is 0.
    pub cross: f64,
}

/// Clean logits with their exponentials, which other logits are measured against.
#[derive(Debug, Clone, Copy)]
pub struct Clean<'a> {
    /// The logits.
    pub logits: &'a [f32],
    /// `exp(logit - max)` of each.
    pub exps: &'a [f32],
    /// The largest logit.
    pub max: f32,
}

/// Reduces logits; NaN anywhere gives NaN.
pub fn sums(logits: &[f32]) -> Sums {
    let (max, top1) = max_and_place(logits);
    let (sum, weighted) = exp_sums(logits, max);
    Sums { max, top1, sum, weighted }
}

/// Reduces logits and measures them against clean ones in the same pass.
///
/// # Panics
/// When there is another number of clean logits.
pub fn sums_against(logits: &[f32], clean: Clean) -> SumsAgainst {
    assert_eq!(logits.len(), clean.logits.len(), "a clean logit for each");
    assert_eq!(logits.len(), clean.exps.len(), "a clean exponential for each");
    let (max, top1) = max_and_place(logits);
    let [sum, weighted, cross] = exp_and_cross_sums(logits, max, clean);
    SumsAgainst { sums: Sums { max, top1, sum, weighted }, cross }
}

fn max_and_place(logits: &[f32]) -> (f32, usize) {
    let max = max(logits);
    (max.max(f32::MIN), position(logits, max).unwrap_or(0))
}

for_best_cpu! {
    /// The largest number of a row, NaN left aside.
    fn max(row: &[f32]) -> f32 {
        lanes::max(row)
    }
}

for_best_cpu! {
    /// The first index of `value` in a row, found by whole groups and then within one.
    fn position(row: &[f32], value: f32) -> Option<usize> {
        const GROUP: usize = 8 * LANES;
        let holds = |group: &[f32]| group.iter().fold(false, |found, &x| found | (x == value));
        let group = row.chunks(GROUP).position(holds)?;
        let start = group * GROUP;
        Some(start + row[start..].iter().position(|&x| x == value)?)
    }
}

for_best_cpu! {
    /// `sum(exp(x))` and `sum(x exp(x))` of `x = logit - max`.
    fn exp_sums(logits: &[f32], max: f32) -> (f64, f64) {
        let (mut sum, mut weighted) = (0.0, 0.0);
        for block in logits.chunks(BLOCK) {
            let (mut sums, mut products) = ([0.0f32; LANES], [0.0f32; LANES]);
            let (groups, rest) = block.as_chunks::<LANES>();
            for group in groups {
                for lane in 0..LANES {
                    let [e, product] = terms(group[lane] - max);
                    sums[lane] += e;
                    products[lane] += product;
                }
            }
            for &logit in rest {
                let [e, product] = terms(logit - max);
                sum += f64::from(e);
                weighted += f64::from(product);
            }
            sum += total(sums);
            weighted += total(products);
        }
        (sum, weighted)
    }
}

for_best_cpu! {
    /// `sum(exp(x))` and `sum(x exp(x))` as above, and the `cross` of [`SumsAgainst`].
    fn exp_and_cross_sums(logits: &[f32], max: f32, clean: Clean) -> [f64; 3] {
        let mut all = [0.0; 3];
        let blocks = logits.chunks(BLOCK).zip(clean.logits.chunks(BLOCK)).zip(clean.exps.chunks(BLOCK));
        for ((block, clean_block), exps) in blocks {
            let (mut sums, mut products, mut crosses) = ([0.0f32; LANES], [0.0f32; LANES], [0.0f32; LANES]);
            let (groups, rest) = block.as_chunks::<LANES>();
            let (clean_groups, clean_rest) = clean_block.as_chunks::<LANES>();
            let (exp_groups, exp_rest) = exps.as_chunks::<LANES>();
            for ((group, clean_group), exps) in groups.iter().zip(clean_groups).zip(exp_groups) {
                for lane in 0..LANES {
                    let x = group[lane] - max;
                    let [e, product] = terms(x);
                    sums[lane] += e;
                    products[lane] += product;
                    crosses[lane] += cross(exps[lane], clean_group[lane] - clean.max, x);
                }
            }
            for ((logit, clean_logit), clean_exp) in rest.iter().zip(clean_rest).zip(exp_rest) {
                let x = logit - max;
                let [e, product] = terms(x);
                let parts = [e, product, cross(*clean_exp, clean_logit - clean.max, x)];
                all.iter_mut().zip(parts).for_each(|(sum, part)| *sum += f64::from(part));
            }
            all.iter_mut().zip([sums, products, crosses]).for_each(|(sum, lanes)| *sum += total(lanes));
        }
        all
    }
}

/// `exp(x)` and `x exp(x)`.
#[inline(always)]
fn terms(x: f32) -> [f32; 2] {
    let e = exp(x);
    [e, if e == 0.0 { 0.0 } else { x * e }]
}

#[inline(always)]
fn cross(clean_exp: f32, y: f32, x: f32) -> f32 {
    let term = clean_exp * (y - x);
    if clean_exp == 0.0 { 0.0 } else { term }
}

#[inline(always)]
fn total(lanes: [f32; LANES]) -> f64 {
    lanes.iter().map(|&x| f64::from(x)).sum()
}

for_best_cpu! {
    /// `exp(logit - max)` of each logit.
    pub fn exps(logits: &[f32], max: f32, exps: &mut [f32]) -> () {
        for (e, &logit) in exps.iter_mut().zip(logits) {
            *e = exp(logit - max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: usize, seed: f32) -> Vec<f32> {
        (0..n).map(|i| ((i * i) as f32 * seed).sin() * 20.0).collect()
    }

    #[test]
    fn rows_of_every_length_reduce_as_in_f64() {
        for n in [1, 2, 15, 16, 17, 63, 1023, 1024, 1025, 5000] {
            let (logits, clean) = (row(n, 0.37), row(n, 0.11));
            let clean_max = clean.iter().copied().fold(f32::MIN, f32::max);
            let mut kept = vec![0.0; n];
            exps(&clean, clean_max, &mut kept);
            let against = Clean { logits: &clean, exps: &kept, max: clean_max };
            let SumsAgainst { sums: found, cross } = sums_against(&logits, against);
            assert_eq!(found, sums(&logits), "{n}");
            let top1 = logits.iter().enumerate().fold(0, |best, (i, x)| if *x > logits[best] { i } else { best });
            assert_eq!((found.top1, found.max), (top1, logits[top1]), "{n}");
            let x = |i: usize| f64::from(logits[i]) - f64::from(found.max);
            let y = |i: usize| f64::from(clean[i]) - f64::from(clean_max);
            let exact = |f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>();
            for (found, exact) in [
                (found.sum, exact(&|i| x(i).exp())),
                (found.weighted, exact(&|i| x(i) * x(i).exp())),
                (cross, exact(&|i| y(i).exp() * (y(i) - x(i)))),
            ] {
                assert!((found - exact).abs() < 2e-6 * exact.abs().max(1.0), "{n}: {found} {exact}");
            }
        }
    }

    #[test]
    fn a_nan_anywhere_shows() {
        for at in [0, 5, 16, 39] {
            let mut logits = vec![0.5; 40];
            logits[at] = f32::NAN;
            assert!(sums(&logits).sum.is_nan());
        }
    }

    #[test]
    fn logits_that_are_all_impossible_sum_to_nothing() {
        let found = sums(&[f32::NEG_INFINITY; 20]);
        assert_eq!((found.sum, found.weighted, found.top1), (0.0, 0.0, 0));
    }
}
