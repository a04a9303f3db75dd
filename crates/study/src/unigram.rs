//! The loss of a model that knows only how frequent each token is: [`unigram_loss`].

use std::collections::BTreeMap;

use stratigraph_core::TokenWindows;
use stratigraph_profile::Estimate;

use crate::{Findings, Result};

/// The value that it is kept under.
const NAME: &str = "unigram_loss";

/// Adds the value `unigram_loss`.
pub(crate) fn add(windows: &TokenWindows, findings: &mut Findings) -> Result<()> {
    let ids: Vec<u32> = windows.text_ids().collect();
    findings.add_value(NAME, Estimate::exact(unigram_loss(&ids)))
}

/// The entropy, in nats, of the distribution that the tokens are drawn from. The entropy of their frequencies is too small, since
/// most tokens of a vocabulary do not occur in a few windows; this is the estimator of Chao and Shen (*Environmental and
/// Ecological Statistics* 10, 2003): frequencies are multiplied by the estimated coverage of the sample, and each token
/// is weighted by the inverse of its probability of occurring.
fn unigram_loss(ids: &[u32]) -> f64 {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    ids.iter().for_each(|id| *counts.entry(*id).or_default() += 1);
    let n = ids.len() as f64;
    let once = counts.values().filter(|&&count| count == 1).count() as f64;
    // If every token occurs once, the coverage cannot be estimated; then it is as if one had occurred twice.
    let coverage = 1.0 - once.min(n - 1.0) / n;
    let of = |&count: &usize| {
        let share = coverage * count as f64 / n;
        -share * share.ln() / (1.0 - (1.0 - share).powf(n))
    };
    counts.values().map(of).sum::<f64>() + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_has_no_entropy_and_frequent_ones_have_theirs() {
        assert_eq!(unigram_loss(&[7; 100]), 0.0);
        let even: Vec<u32> = (0..8000).map(|index| index % 4).collect();
        assert!((unigram_loss(&even) - 4f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn tokens_that_do_not_occur_are_counted() {
        // A few draws of a thousand tokens that are equally likely: the entropy of their frequencies is at most ln 600.
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32 % 1000
        };
        let drawn: Vec<u32> = (0..600).map(|_| next()).collect();
        assert!((unigram_loss(&drawn) - 1000f64.ln()).abs() < 0.15, "{}", unigram_loss(&drawn));
        assert!(unigram_loss(&[1, 2, 3]).is_finite());
    }
}
