//! Attention's softmax, in place: [`causal_softmax`].

use crate::exp::exp;
use crate::for_best_cpu;
use crate::lanes::{max, sum};

for_best_cpu! {
    /// The softmax of `scale` times the scores, over the keys that each query sees: its own and those before it, or the last
    /// `window` of these. Keys that it does not see get 0. `scores` are whole heads of `shape`, which is `[queries, keys]`; the
    /// queries are those of the last keys.
    ///
    /// # Panics
    /// When there are no keys, or fewer than queries, or a window sees nothing.
    pub fn causal_softmax(scores: &mut [f32], shape: [usize; 2], window: Option<usize>, scale: f32) -> () {
        let [n_queries, n_keys] = shape;
        for (row, scores) in scores.chunks_mut(n_keys).enumerate() {
            let query = n_keys - n_queries + row % n_queries;
            let first = window.map_or(0, |window| (query + 1).saturating_sub(window));
            let (seen, future) = scores.split_at_mut(query + 1);
            let (past, seen) = seen.split_at_mut(first);
            past.fill(0.0);
            future.fill(0.0);
            softmax(seen, scale);
        }
    }
}

/// The softmax of `scale` times some numbers; NaN anywhere gives NaN.
#[inline(always)]
fn softmax(row: &mut [f32], scale: f32) {
    assert!(!row.is_empty(), "a query sees itself");
    row.iter_mut().for_each(|x| *x *= scale);
    let max = max(row);
    row.iter_mut().for_each(|x| *x = exp(*x - max));
    let share = 1.0 / sum(row, |x| x);
    row.iter_mut().for_each(|x| *x *= share);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(n_pos: usize) -> Vec<f32> {
        (0..2 * n_pos * n_pos).map(|i| ((i * i) as f32 * 0.37).sin() * 30.0).collect()
    }

    #[test]
    fn patterns_are_their_definition() {
        for (n_pos, window) in [(1, None), (2, Some(1)), (16, None), (17, Some(16)), (37, None), (37, Some(5))] {
            let (scale, mut found) = (0.3, scores(n_pos));
            causal_softmax(&mut found, [n_pos, n_pos], window, scale);
            for (row, (found, scores)) in found.chunks(n_pos).zip(scores(n_pos).chunks(n_pos)).enumerate() {
                let query = row % n_pos;
                let sees = |key: usize| key <= query && window.is_none_or(|window| query - key < window);
                let weight = |key: usize| if sees(key) { f64::from(scale * scores[key]).exp() } else { 0.0 };
                let sum: f64 = (0..n_pos).map(weight).sum();
                for (key, &found) in found.iter().enumerate() {
                    assert!((f64::from(found) - weight(key) / sum).abs() < 1e-6, "{n_pos} {window:?}: {query} {key}");
                    assert!(sees(key) || found == 0.0);
                }
            }
        }
    }

    #[test]
    fn the_last_queries_are_as_among_all() {
        for (n_pos, n_last, window) in [(5, 1, None), (37, 4, Some(5)), (37, 1, Some(36)), (1, 1, None)] {
            let mut all = scores(n_pos);
            causal_softmax(&mut all, [n_pos, n_pos], window, 0.3);
            let last = |scores: &[f32]| -> Vec<f32> {
                scores.chunks(n_pos * n_pos).flat_map(|head| &head[(n_pos - n_last) * n_pos..]).copied().collect()
            };
            let mut found = last(&scores(n_pos));
            causal_softmax(&mut found, [n_last, n_pos], window, 0.3);
            assert_eq!(found, last(&all), "{n_pos} {n_last} {window:?}");
        }
    }

    #[test]
    fn a_nan_that_is_seen_shows_and_another_does_not() {
        let mut found = scores(20);
        found[5 * 20 + 3] = f32::NAN;
        found[7 * 20 + 9] = f32::NAN;
        causal_softmax(&mut found, [20, 20], None, 1.0);
        assert!(found[5 * 20].is_nan() && found[7 * 20..8 * 20].iter().all(|x| x.is_finite()));
    }
}
