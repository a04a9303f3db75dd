//! The test of one boundary within its two stages: [`p_value`], corrected for their number by [`holm`].

use crate::chance::Chance;
use crate::path::{Run, Scores};

/// The fraction of orders of the layers of two adjacent stages, all groups of signals together, that divide into the two as
/// well as the true order does, which is counted among them. The place of the boundary is searched for again in each order.
pub(crate) fn p_value(scores: &Scores, pair: &[Run], orders: usize, seed: u64) -> f64 {
    let (before, after) = (pair[0].stage, pair[1].stage);
    let layers = scores[pair[0].first..pair[1].end].iter();
    let differences = layers.map(|score| score[before] - score[after]).collect();
    Chance::of(differences, (orders, seed ^ 0xb0_0bda), gain).p_value()
}

/// How much better the best division into the earlier and the later stage is than the better of the two alone, from what each
/// layer has more for the earlier one.
fn gain(differences: &[f64]) -> f64 {
    let (mut sum, mut most) = (0.0, 0.0f64);
    for difference in differences {
        sum += difference;
        most = most.max(sum);
    }
    most - sum.max(0.0)
}

/// The p-values corrected for how many there are (Holm, *Scandinavian Journal of Statistics* 6, 1979).
pub(crate) fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut least = 0.0f64;
    for (rank, &index) in order.iter().enumerate() {
        least = least.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sorted_order_is_as_rare_as_it_is() {
        let run = |stage, first, end| Run { stage, first, end };
        let scores: Scores =
            (0..9).map(|layer| if layer < 3 { [1.0, 0.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0, 0.0] }).collect();
        let p = p_value(&scores, &[run(0, 0, 3), run(1, 3, 9)], 19_999, 1);
        // One of the 84 ways to choose three of nine layers.
        assert!((p - 1.0 / 84.0).abs() < 0.003, "{p}");
        let flat = vec![[0.0; 4]; 9];
        assert_eq!(p_value(&flat, &[run(0, 0, 3), run(1, 3, 9)], 99, 1), 1.0);
    }

    #[test]
    fn holm_keeps_the_order() {
        let adjusted = holm(&[0.04, 0.01, 0.03]);
        assert!(adjusted.iter().zip([0.06, 0.03, 0.06]).all(|(a, b)| (a - b).abs() < 1e-12), "{adjusted:?}");
        assert!(holm(&[]).is_empty() && holm(&[0.9, 0.8]) == [1.0, 1.0]);
    }
}
