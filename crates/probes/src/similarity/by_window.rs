//! Similarity of neighbouring residual positions within each window: [`WindowSimilarity`].

use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{Activation, Hook, HookSet, Observer, Result as CoreResult, Site, Tap};

use super::{centred, gram};
use crate::geometry::without_mean;
use crate::neurons::dot;
use crate::statistics::PerSequence;

/// Positions of a window that are compared: their inner products are held for two residual positions.
const MOST_POSITIONS: usize = 2048;

/// Collects the linear CKA of each layer's input and output over the positions of one window at a time, at most the
/// first 2,048 that count.
///
/// A window whose states are all equal at one of the two positions, but for rounding, has no shape there, and is left out of the mean of that layer.
#[derive(Default)]
pub struct WindowSimilarity {
    skip_first: usize,
    subtracts_mean: bool,
    windows: Range<usize>,
    /// The Gram matrix of each window, scaled to length 1, at the residual position before.
    before: Vec<Option<Vec<f64>>>,
    /// The layer that has run.
    layer: usize,
    adjacent: Vec<PerSequence>,
}

impl WindowSimilarity {
    /// Leaves out the first `skip_first` positions of each window.
    pub fn new(skip_first: usize) -> Self {
        Self { skip_first, ..Self::default() }
    }

    /// Subtracts the mean over `d_model` of each state first, as LayerNorm does before anything reads it.
    pub fn with_mean_subtracted(self, subtracts_mean: bool) -> Self {
        Self { subtracts_mean, ..self }
    }

    /// The CKA of each window, by layer, by the biased estimator ([`cka`](super::cka)).
    pub fn adjacent(&self) -> &[PerSequence] {
        &self.adjacent
    }

    /// Compares residual streams `[batch, pos, d_model]` with those before.
    fn push(&mut self, x: Tensor<3>) {
        let [batch, pos, width] = x.dims();
        let n = pos.saturating_sub(self.skip_first).min(MOST_POSITIONS);
        if n < 2 {
            return; // one state has no shape
        }
        let rows = x.narrow(1, self.skip_first, n);
        let rows = if self.subtracts_mean { without_mean(rows) } else { rows };
        let of_window = |window: usize| unit_gram(rows.clone().narrow(0, window, 1).reshape([n, width]));
        let now: Vec<_> = (0..batch).map(of_window).collect();
        let before = std::mem::replace(&mut self.before, now);
        if before.is_empty() {
            return; // the first of the run
        }
        if self.adjacent.len() <= self.layer {
            self.adjacent.resize_with(self.layer + 1, PerSequence::default);
        }
        for (window, (before, now)) in before.iter().zip(&self.before).enumerate() {
            if let (Some(before), Some(now)) = (before, now) {
                self.adjacent[self.layer].push(self.windows.start + window, dot(before, now));
            }
        }
        self.layer += 1;
    }
}

/// The part of the squared length of all rows that their differences are at least: f32 rounds to 6e-8, of which the square of some
/// tens is below this.
const LEAST_DIFFERENCE: f64 = 1e-10;

/// The inner products of the centred rows, scaled to length 1; none where the rows are all equal but for rounding.
fn unit_gram(rows: Tensor<2>) -> Option<Vec<f64>> {
    let n = rows.dims()[0];
    let values: Vec<f32> = rows.clone().try_into_vec_as().expect("any float");
    let whole: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
    let mut gram = gram(centred(rows));
    let differences: f64 = gram.iter().step_by(n + 1).sum();
    let length = dot(&gram, &gram).sqrt();
    (differences > LEAST_DIFFERENCE * whole).then(|| {
        gram.iter_mut().for_each(|x| *x /= length);
        gram
    })
}

impl Tap for WindowSimilarity {
    fn hooks(&self) -> HookSet {
        [Hook::ResidPre].into()
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> CoreResult<Activation> {
        self.push(activation.clone().wide(hook.at(site.slot))?);
        Ok(activation)
    }
}

impl Observer for WindowSimilarity {
    fn begin(&mut self, windows: Range<usize>) {
        self.windows = windows;
        self.before.clear();
        self.layer = 0;
    }

    fn end(&mut self, resid: &Tensor<3>) -> CoreResult<()> {
        self.push(resid.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use stratigraph_core::SplitMix64;

    use super::*;
    use crate::similarity::cka;

    fn noise([batch, pos, width]: [usize; 3], seed: u64) -> Tensor<3> {
        let mut random = SplitMix64::new(seed);
        let values: Vec<f32> = (0..batch * pos * width).map(|_| random.normal() as f32).collect();
        Tensor::<1>::from_data(&values[..], &Device::flex()).reshape([batch, pos, width])
    }

    /// What is collected of these streams.
    fn adjacent(similarity: WindowSimilarity, streams: &[Tensor<3>]) -> Vec<Vec<f64>> {
        let mut similarity = similarity;
        similarity.begin(4..6);
        streams.iter().for_each(|stream| similarity.push(stream.clone()));
        similarity.adjacent().iter().map(PerSequence::means).collect()
    }

    #[test]
    fn each_window_has_the_cka_of_its_own_rows() {
        let shape = [2, 9, 5];
        let first = noise(shape, 1);
        let streams = [first.clone(), first.clone() * 3.0 + 1.0, first + noise(shape, 2)];
        let found = adjacent(WindowSimilarity::new(2), &streams);
        assert_eq!(found.len(), 2, "two layers");
        assert!(found[0].iter().all(|cka| (cka - 1.0).abs() < 1e-6), "scaled and moved: {found:?}");
        for (window, found) in found[1].iter().enumerate() {
            let rows = |stream: &Tensor<3>| stream.clone().slice([window..window + 1, 2..9]).reshape([7, 5]);
            let expected = cka(&[rows(&streams[1]), rows(&streams[2])]).unwrap()[0][1];
            assert!((found - expected).abs() < 1e-9 && *found < 0.99, "{found}, {expected}");
        }
    }

    #[test]
    fn what_all_units_share_can_be_subtracted() {
        let first = noise([1, 9, 5], 1);
        let shared = noise([1, 9, 1], 2) * 100.0; // the same in all units of a state
        let streams = [first.clone(), first + shared];
        let found = |subtracts| adjacent(WindowSimilarity::new(0).with_mean_subtracted(subtracts), &streams)[0][0];
        assert!((found(true) - 1.0).abs() < 1e-4 && found(false) < 0.9, "{} {}", found(true), found(false));
    }

    #[test]
    fn windows_without_a_shape_are_left_out() {
        let first = noise([2, 4, 3], 1);
        let level = Tensor::cat(vec![first.clone().narrow(0, 0, 1), Tensor::ones([1, 4, 3], &Device::flex())], 0);
        assert_eq!(adjacent(WindowSimilarity::new(0), &[first.clone(), level])[0].len(), 1);
        assert!(adjacent(WindowSimilarity::new(3), &[first.clone(), first]).is_empty(), "one state has no shape");
    }

    #[test]
    fn states_that_differ_by_rounding_have_no_shape() {
        let (first, rounding) = (noise([2, 4, 3], 1), noise([1, 4, 3], 2));
        let nearly = |size: f64| {
            let level = rounding.clone() * size + 1.0;
            Tensor::cat(vec![first.clone().narrow(0, 0, 1), level], 0)
        };
        let counted = |size: f64| adjacent(WindowSimilarity::new(0), &[first.clone(), nearly(size)])[0].len();
        assert_eq!((counted(2e-7), counted(1e-3)), (1, 2));
    }
}
