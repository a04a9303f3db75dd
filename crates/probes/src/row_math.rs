//! Reductions of one row of logits in plain memory, each a single pass that vectorises.
//!
//! Sums run in f32 over short blocks, lane by lane, and in f64 across blocks. Every function is compiled for several
//! instruction sets, and the machine's best one is chosen at run time.

use multiversion::multiversion;

/// Numbers that go side by side through a block.
const LANES: usize = 16;

/// Numbers of a block, which is summed in f32.
const BLOCK: usize = 64 * LANES;

/// `log(sum(exp(logits)))` and what goes with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RowSum {
    /// The log-sum-exp.
    pub(crate) lse: f32,
    /// The entropy of the row's softmax, in nats.
    pub(crate) entropy: f64,
    /// Where the largest logit stands first.
    pub(crate) top1: usize,
}

/// Reduces a row of logits; NaN anywhere gives NaN.
pub(crate) fn row_sum(logits: &[f32]) -> RowSum {
    let max = max(logits);
    let (sum, weighted) = exp_sums(logits, max);
    let top1 = logits.iter().position(|&logit| logit == max).unwrap_or(0);
    RowSum { lse: (f64::from(max) + sum.ln()) as f32, entropy: sum.ln() - weighted / sum, top1 }
}

/// The largest number of a row, or NaN where there is one.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut nan = [false; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = if block[lane] > lanes[lane] { block[lane] } else { lanes[lane] };
            nan[lane] |= block[lane].is_nan();
        }
    }
    if nan.contains(&true) || rest.iter().any(|x| x.is_nan()) {
        return f32::NAN;
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |max, &x| max.max(x))
}

/// `sum(exp(x))` and `sum(x exp(x))` of `x = logit - max`.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
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
                products[lane] += x * e;
            }
        }
        for &logit in rest {
            let x = logit - max;
            let e = exp(x);
            sum += f64::from(e);
            weighted += f64::from(x * e);
        }
        sum += sums.iter().map(|&x| f64::from(x)).sum::<f64>();
        weighted += products.iter().map(|&x| f64::from(x)).sum::<f64>();
    }
    (sum, weighted)
}

/// `exp(logit - lse)` of each logit.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn probs(logits: &[f32], lse: f32, probs: &mut [f32]) {
    for (prob, &logit) in probs.iter_mut().zip(logits) {
        *prob = exp(logit - lse);
    }
}

/// A distribution's logits with their log-sum-exp.
#[derive(Clone, Copy)]
pub(crate) struct Normed<'a> {
    pub(crate) logits: &'a [f32],
    pub(crate) lse: f32,
}

/// `sum(p (log p - log q))` in nats; `probs` are those of `p`.
#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn kl(probs: &[f32], p: Normed, q: Normed) -> f64 {
    let mut sum = 0.0;
    let blocks = probs.chunks(BLOCK).zip(p.logits.chunks(BLOCK)).zip(q.logits.chunks(BLOCK));
    for ((probs, p_block), q_block) in blocks {
        let mut sums = [0.0f32; LANES];
        let (probs, probs_rest) = probs.as_chunks::<LANES>();
        let (p_groups, p_rest) = p_block.as_chunks::<LANES>();
        let (q_groups, q_rest) = q_block.as_chunks::<LANES>();
        for ((prob, p_logit), q_logit) in probs.iter().zip(p_groups).zip(q_groups) {
            for lane in 0..LANES {
                sums[lane] += prob[lane] * ((p_logit[lane] - p.lse) - (q_logit[lane] - q.lse));
            }
        }
        for ((prob, p_logit), q_logit) in probs_rest.iter().zip(p_rest).zip(q_rest) {
            sum += f64::from(prob * ((p_logit - p.lse) - (q_logit - q.lse)));
        }
        sum += sums.iter().map(|&x| f64::from(x)).sum::<f64>();
    }
    sum
}

/// `exp(x)` for `x <= 0`, within two units in the last place; exactly 0 below -87, where the result leaves the range
/// of normal numbers.
///
/// `x = n log 2 + r` with whole `n`; `exp(r)` is a polynomial and `2^n` goes into the exponent. `log 2` is split in two
/// so that `n log 2` loses no bits (Cody and Waite, *Software Manual for the Elementary Functions*, 1980).
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LEAST: f32 = -87.0;
    /// Adding this rounds to a whole number, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x.max(LEAST) * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x.max(LEAST) - n * LN2_HIGH) - n * LN2_LOW;
    // The Taylor series: its next term is below 2e-9 where |r| <= log(2) / 2.
    let series = 1.0 / 5040.0;
    let series = series * r + 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = series * (r * r) + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    let value = if x < LEAST { 0.0 } else { series * power };
    if x.is_nan() { x } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_over_its_whole_range() {
        let mut worst = 0.0f64;
        for i in 0..=870_000 {
            let x = -(i as f32) * 1e-4;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - exact).abs() / exact);
        }
        assert!(worst < 2.4e-7, "{worst:e}");
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-88.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

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
