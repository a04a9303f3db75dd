//! The largest logits of a row: [`TopK`].

/// A token among the most likely ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) logit: f32,
    pub(crate) id: usize,
}

/// The `k` largest logits seen so far, the largest first; the lower id first on ties.
#[derive(Debug, Clone)]
pub(crate) struct TopK {
    k: usize,
    best: Vec<Candidate>,
}

impl TopK {
    pub(crate) fn new(k: usize) -> Self {
        Self { k, best: Vec::with_capacity(k) }
    }

    /// Adds the logits of the tokens from `first_id` on, which come after those added before.
    pub(crate) fn extend(&mut self, first_id: usize, logits: &[f32]) {
        for (id, &logit) in (first_id..).zip(logits) {
            let is_full = self.best.len() == self.k;
            if is_full && self.best.last().is_none_or(|last| logit <= last.logit) {
                continue;
            }
            if is_full {
                self.best.pop();
            }
            let place = self.best.partition_point(|kept| kept.logit >= logit);
            self.best.insert(place, Candidate { logit, id });
        }
    }

    pub(crate) fn into_candidates(self) -> Vec<Candidate> {
        self.best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(k: usize, parts: &[&[f32]]) -> Vec<usize> {
        let (mut top, mut first) = (TopK::new(k), 0);
        for part in parts {
            top.extend(first, part);
            first += part.len();
        }
        top.into_candidates().iter().map(|candidate| candidate.id).collect()
    }

    #[test]
    fn the_largest_come_first_and_the_lower_id_on_ties() {
        let row = [1.0, 3.0, 2.0, 3.0, 2.0, f32::NEG_INFINITY];
        assert_eq!(top(1, &[&row]), [1]);
        assert_eq!(top(3, &[&row]), [1, 3, 2]);
        assert_eq!(top(6, &[&row]), [1, 3, 2, 4, 0, 5]);
        assert_eq!(top(0, &[&row]), [0; 0]);
    }

    #[test]
    fn parts_give_what_the_whole_gives() {
        let row: Vec<f32> = (0..50).map(|i| ((i * i * 7) % 13) as f32).collect();
        for k in 1..=50 {
            for cut in [1, 13, 49] {
                assert_eq!(top(k, &[&row[..cut], &row[cut..]]), top(k, &[&row]), "{k} at {cut}");
            }
        }
    }
}
